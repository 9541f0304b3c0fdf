"use strict";(self.rspackChunk_cubehub_account=self.rspackChunk_cubehub_account||[]).push([[470],{893(e,t,n){n.r(t),n.d(t,{IAccount:()=>w,default:()=>C});var r=n(2),o=n(542),a=n(442),s=n(698),i=n(989),u=n(500),l=n(401);n(665);var c=n(660);function d(e){let t=new c.Widget;for(let n of(t.addClass("cubehub-notice"),[e.message,...e.hint.split("\n")]))if(n.trim()){let e=document.createElement("p");e.textContent=n,t.node.append(e)}return t}let h=[["TiB",0x10000000000],["GiB",0x40000000],["MiB",1048576],["KiB",1024]];function p(e){for(let[t,n]of h)if(e>=n){let r=e/n;return`${r>=100?Math.round(r):Math.round(10*r)/10} ${t}`}return`${e} B`}function b(e){return`${e.id}@${e.time}`}class m extends c.Widget{trans;constructor(e){super(),this.trans=e,this.addClass("cubehub-memory"),this.button=document.createElement("button"),this.button.type="button",this.button.className="cubehub-memory-button",this.button.setAttribute("aria-haspopup","dialog"),this.button.setAttribute("aria-expanded","false"),this.text=document.createElement("span"),this.text.setAttribute("aria-hidden","true"),this.bar=document.createElement("span"),this.bar.className="cubehub-memory-bar",this.bar.setAttribute("aria-hidden","true"),this.fill=document.createElement("span"),this.bar.append(this.fill),this.button.append(this.text,this.bar),this.button.addEventListener("click",()=>this.toggle()),this.announcer=document.createElement("span"),this.announcer.className="cubehub-visually-hidden",this.announcer.setAttribute("role","status"),this.announcer.setAttribute("aria-live","polite"),this.node.append(this.button,this.announcer),this.hide()}update_(e){this.status=e;let t=function(e){let{used_bytes:t,memory_bytes:n,title:r}=e,o=r?` \xb7 ${r}`:"";if(null===t||null===n||n<=0){let e=null===t?"RAM unknown":`RAM ${p(t)}`;return{text:e+o,label:`${e}${o}, no limit known`,share:0,level:"unknown"}}let a=Math.min(1,t/n),s=a>=.95?"full":a>=.8?"high":"ok",i=Math.round(100*a);return{text:`RAM ${function(e,t){let[n,r]=[p(e),p(t)],[o,a]=n.split(" ");return r.endsWith(` ${a}`)?`${o} / ${r}`:`${n} / ${r}`}(t,n)}${o}`,label:`Memory of your whole server: ${p(t)} of ${p(n)}, ${i} %${"full"===s?", almost at the limit":"high"===s?", getting full":""}${r?`, profile ${r}`:""}`,share:a,level:s}}(e);this.text.textContent=t.text,this.button.setAttribute("aria-label",t.label),this.button.title=t.label,this.fill.style.inlineSize=`${100*t.share}%`,this.node.dataset.level!==t.level&&(this.node.dataset.level=t.level,this.announcer.textContent="ok"===t.level?"":t.label),this.details?.replaceChildren(...this.describe(e)),this.show()}toggle(){if(this.popup)return void this.popup.dispose();if(!this.status)return;let e=new c.Widget;e.addClass("cubehub-memory-details"),e.node.setAttribute("role","dialog"),e.node.setAttribute("aria-label",this.trans.__("Your server")),e.node.tabIndex=-1,this.details=e.node,e.node.replaceChildren(...this.describe(this.status)),e.node.addEventListener("keydown",e=>{"Escape"===e.key&&(e.stopPropagation(),this.popup?.dispose())}),this.popup=(0,a.showPopup)({body:e,anchor:this,align:"right"}),this.button.setAttribute("aria-expanded","true"),e.disposed.connect(()=>{this.popup=null,this.details=null,this.button.setAttribute("aria-expanded","false"),this.button.focus()}),e.node.focus()}describe(e){let t=this.trans,n=document.createElement("dl"),r=(e,t)=>{let r=document.createElement("dt"),o=document.createElement("dd");r.textContent=e,o.textContent=t,n.append(r,o)},o=e=>null===e?t.__("unknown"):p(e);r(t.__("Profile"),e.title||t.__("unknown")),r(t.__("Memory in use"),o(e.used_bytes)),r(t.__("Memory limit"),o(e.memory_bytes)),r(t.__("Home folder"),function(e){if(null===e.home_bytes)return"being counted …";let t=`${e.home_complete?"":"more than "}${p(e.home_bytes)}`;return e.storage_bytes?`${t} of ${p(e.storage_bytes)}`:t}(e));let a=document.createElement("p");a.textContent=t.__("All notebooks, kernels and terminals share the memory. When it is used up, the kernel that uses most is stopped. To free some, shut down kernels that you do not need; to have more, ask your administrator for another profile: it reaches your running server.");let s=document.createElement("a");return s.href=e.hub_url,s.target="_blank",s.rel="noopener",s.textContent=t.__("Your servers (control panel)"),[n,a,s]}button;text;bar;fill;announcer;status=null;popup=null;details=null}var f=n(901),y=n(904);let g="cubehub-account:seen";class v{storage;constructor(e=window.localStorage){this.storage=e}get keys(){return new Set(this.read())}add(e){let t=[...this.read().filter(t=>t!==e),e].slice(-200);try{this.storage.setItem(g,JSON.stringify(t))}catch{}}read(){try{let e=JSON.parse(this.storage.getItem(g)??"[]");return Array.isArray(e)?e.filter(e=>"string"==typeof e):[]}catch{return[]}}}let w=new i.Token("@cubehub/account:IAccount");class x{settings;constructor(e){this.settings=e,new u.Poll({factory:()=>this.ask(),frequency:{interval:3e3,backoff:!0,max:6e4},name:"@cubehub/account:status",standby:"when-hidden"}).start()}get changed(){return this._changed}get refused(){return this._refused}async ask(){try{let e=await async function(e){let t=f.URLExt.join(e.baseUrl,"cubehub/account/status"),n=await y.ServerConnection.makeRequest(t,{cache:"no-store",redirect:"manual"},e);if(!n.ok)throw new y.ServerConnection.ResponseError(n,"The server refused to tell its status");return await n.json()}(this.settings);return this.refusals=0,this._changed.emit(e),e}catch(e){throw this.refusals=e instanceof y.ServerConnection.ResponseError&&("opaqueredirect"===e.response.type||[401,403].includes(e.response.status))?this.refusals+1:0,3===this.refusals&&this._refused.emit(),e}}refusals=0;_changed=new l.Signal(this);_refused=new l.Signal(this)}let _={id:"@cubehub/account:memory",description:"Shows the memory of the whole server against its limit.",autoStart:!0,requires:[w],optional:[a.IStatusBar,s.ITranslator],activate:(e,t,n,r)=>{let o=new m((r??s.nullTranslator).load("cubehub_account"));o.id="cubehub-account-memory",t.changed.connect((e,t)=>o.update_(t)),n?n.registerStatusItem(o.id,{item:o,align:"left",rank:20}):e.shell.add(o,"top",{rank:1e4})}},k={id:"@cubehub/account:notices",description:"Says once what is new, and plainly when access was ended.",autoStart:!0,requires:[w],optional:[s.ITranslator],activate:(e,t,n)=>{let o=(n??s.nullTranslator).load("cubehub_account"),a=new v,i=!1,u="/hub/home",l=e=>{i||(i=!0,async function(e,t,n){let{button:o}=await (0,r.showDialog)({title:n.__("Your access was ended"),body:d(e),hasClose:!1,buttons:[r.Dialog.cancelButton({label:n.__("Stay on this page")}),r.Dialog.okButton({label:n.__("Go to the start page")})]});o.accept&&window.location.assign(t)}(e,u,o))};t.changed.connect((e,t)=>{var n,o;for(let e of(u=t.hub_url,n=t.notices,o=a.keys,n.filter(e=>"error"!==e.level&&!e.kernel&&!o.has(b(e)))))a.add(b(e)),r.Notification.emit(`${e.message} ${e.hint}`,"warning"===e.level?"warning":"info",{autoClose:!1});t.ended&&l(t.ended)}),t.refused.connect(()=>l({id:"refused",time:"",level:"error",code:"refused",message:o.__("Your server no longer accepts this page: your log-in or your account has ended."),hint:o.__("Your files are kept. What is not saved can be copied from this page. Log in again on the start page.")}))}},A={id:"@cubehub/account:reasons",description:"Says why a kernel was stopped, in place of a guess that it died.",autoStart:!0,requires:[w,o.INotebookTracker],optional:[s.ITranslator],activate:(e,t,n,o)=>{let a=o??s.nullTranslator,[i,u]=[a.load("cubehub_account"),a.load("jupyterlab")],l=new v;n.widgetAdded.connect((e,n)=>{n.sessionContext.statusChanged.connect((e,o)=>{"autorestarting"===o&&(async e=>{var n,o,a;let s=e.sessionContext.session,c=s?.kernel?.id;if(!s||!c)return;let h=(n=(await t.ask()).notices,o=l.keys,n.filter(e=>e.kernel===c&&!o.has(b(e))).pop());if(h){let e;l.add(b(h)),(a=s.path,e=u.__("The kernel for %1 appears to have died. It will restart automatically.",a),r.Dialog.tracker.find(t=>t.node.textContent?.includes(e)??!1))?.reject(),await async function(e,t){await (0,r.showDialog)({title:t.__("Out of memory"),body:d(e),buttons:[r.Dialog.okButton({label:t.__("Ok")})]})}(h,i)}})(n).catch(()=>void 0)})})}},C=[{id:"@cubehub/account:status",description:"Asks the server for its use, limits and notices.",autoStart:!0,provides:w,activate:e=>new x(e.serviceManager.serverSettings)},_,k,A]},646(e,t,n){var r=n(601),o=n.n(r),a=n(314),s=(n.n(a))()(o());s.push([e.id,`.cubehub-memory {
  display: flex;
  align-items: center;
}

.cubehub-memory-button {
  display: flex;
  align-items: center;
  gap: 6px;
  block-size: 100%;
  padding: 0 6px;
  border: none;
  background: none;
  color: inherit;
  font: inherit;
  font-variant-numeric: tabular-nums;
  white-space: nowrap;
  cursor: pointer;
}

.jp-mod-selected .cubehub-memory-button {
  color: var(--jp-ui-inverse-font-color1);
}

.jp-mod-selected .cubehub-memory-bar {
  border-color: currentcolor;
  background: var(--jp-layout-color1);
}

.cubehub-memory-button:not(.jp-mod-selected *):hover {
  background: var(--jp-layout-color3);
}

.cubehub-memory-button:focus-visible {
  outline: 2px solid var(--jp-brand-color1);
  outline-offset: -2px;
}

.cubehub-memory-bar {
  display: inline-block;
  inline-size: 48px;
  block-size: 8px;
  border: 1px solid var(--jp-ui-font-color2);
  border-radius: 2px;
  overflow: hidden;
}

.cubehub-memory-bar > span {
  display: block;
  block-size: 100%;
  background: var(--jp-success-color1, #2e7d32);
  transition: inline-size 0.4s;
}

.cubehub-memory[data-level='high'] .cubehub-memory-bar > span {
  background: var(--jp-warn-color1, #f57c00);
}

.cubehub-memory[data-level='full'] .cubehub-memory-bar > span {
  background: var(--jp-error-color1, #c62828);
}

.cubehub-memory[data-level='full'] .cubehub-memory-button {
  font-weight: 600;
}

@media (prefers-reduced-motion: reduce) {
  .cubehub-memory-bar > span {
    transition: none;
  }
}

.cubehub-memory-details {
  max-inline-size: 360px;
  padding: 12px 16px;
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  border: 1px solid var(--jp-border-color1);
  box-shadow: var(--jp-elevation-z6);
  font-size: var(--jp-ui-font-size1);
  line-height: 1.5;
}

.cubehub-memory-details dl {
  display: grid;
  grid-template-columns: auto auto;
  gap: 4px 16px;
  margin: 0;
}

.cubehub-memory-details dt {
  color: var(--jp-ui-font-color1);
}

.cubehub-memory-details dd {
  margin: 0;
  font-weight: 600;
  text-align: end;
  font-variant-numeric: tabular-nums;
}

.cubehub-memory-details p {
  margin: 12px 0;
}

.cubehub-memory-details a {
  color: var(--jp-content-link-color);
  text-decoration: underline;
}

.cubehub-notice {
  max-inline-size: 520px;
}

.cubehub-notice p {
  margin: 0 0 8px;
}

.cubehub-visually-hidden {
  position: absolute;
  inline-size: 1px;
  block-size: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
`,""]),n.d(t,{},{A:s})},314(e){e.exports=function(e){var t=[];return t.toString=function(){return this.map(function(t){var n="",r=void 0!==t[5];return t[4]&&(n+="@supports (".concat(t[4],") {")),t[2]&&(n+="@media ".concat(t[2]," {")),r&&(n+="@layer".concat(t[5].length>0?" ".concat(t[5]):""," {")),n+=e(t),r&&(n+="}"),t[2]&&(n+="}"),t[4]&&(n+="}"),n}).join("")},t.i=function(e,n,r,o,a){"string"==typeof e&&(e=[[null,e,void 0]]);var s={};if(r)for(var i=0;i<this.length;i++){var u=this[i][0];null!=u&&(s[u]=!0)}for(var l=0;l<e.length;l++){var c=[].concat(e[l]);r&&s[c[0]]||(void 0!==a&&(void 0===c[5]||(c[1]="@layer".concat(c[5].length>0?" ".concat(c[5]):""," {").concat(c[1],"}")),c[5]=a),n&&(c[2]&&(c[1]="@media ".concat(c[2]," {").concat(c[1],"}")),c[2]=n),o&&(c[4]?(c[1]="@supports (".concat(c[4],") {").concat(c[1],"}"),c[4]=o):c[4]="".concat(o)),t.push(c))}},t}},601(e){e.exports=function(e){return e[1]}},665(e,t,n){n.r(t);var r=n(72),o=n.n(r),a=n(825),s=n.n(a),i=n(659),u=n.n(i),l=n(56),c=n.n(l),d=n(540),h=n.n(d),p=n(113),b=n.n(p),m=n(646),f={};f.styleTagTransform=b(),f.setAttributes=c(),f.insert=u().bind(null,"head"),f.domAPI=s(),f.insertStyleElement=h(),o()(m.A,f);let y=m.A&&m.A.locals?m.A.locals:void 0;n.d(t,{},{default:y})},72(e){var t=[];function n(e){for(var n=-1,r=0;r<t.length;r++)if(t[r].identifier===e){n=r;break}return n}function r(e,r){for(var o={},a=[],s=0;s<e.length;s++){var i=e[s],u=r.base?i[0]+r.base:i[0],l=o[u]||0,c="".concat(u," ").concat(l);o[u]=l+1;var d=n(c),h={css:i[1],media:i[2],sourceMap:i[3],supports:i[4],layer:i[5]};if(-1!==d)t[d].references++,t[d].updater(h);else{var p=function(e,t){var n=t.domAPI(t);return n.update(e),function(t){t?(t.css!==e.css||t.media!==e.media||t.sourceMap!==e.sourceMap||t.supports!==e.supports||t.layer!==e.layer)&&n.update(e=t):n.remove()}}(h,r);r.byIndex=s,t.splice(s,0,{identifier:c,updater:p,references:1})}a.push(c)}return a}e.exports=function(e,o){var a=r(e=e||[],o=o||{});return function(e){e=e||[];for(var s=0;s<a.length;s++){var i=n(a[s]);t[i].references--}for(var u=r(e,o),l=0;l<a.length;l++){var c=n(a[l]);0===t[c].references&&(t[c].updater(),t.splice(c,1))}a=u}}},659(e){var t={};e.exports=function(e,n){var r=function(e){if(void 0===t[e]){var n=document.querySelector(e);if(window.HTMLIFrameElement&&n instanceof window.HTMLIFrameElement)try{n=n.contentDocument.head}catch(e){n=null}t[e]=n}return t[e]}(e);if(!r)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");r.appendChild(n)}},540(e){e.exports=function(e){var t=document.createElement("style");return e.setAttributes(t,e.attributes),e.insert(t,e.options),t}},56(e,t,n){e.exports=function(e){var t=n.nc;t&&e.setAttribute("nonce",t)}},825(e){e.exports=function(e){if("u"<typeof document)return{update:function(){},remove:function(){}};var t=e.insertStyleElement(e);return{update:function(n){var r,o,a;r="",n.supports&&(r+="@supports (".concat(n.supports,") {")),n.media&&(r+="@media ".concat(n.media," {")),(o=void 0!==n.layer)&&(r+="@layer".concat(n.layer.length>0?" ".concat(n.layer):""," {")),r+=n.css,o&&(r+="}"),n.media&&(r+="}"),n.supports&&(r+="}"),(a=n.sourceMap)&&"u">typeof btoa&&(r+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(a))))," */")),e.styleTagTransform(r,t,e.options)},remove:function(){var e;null===(e=t).parentNode||e.parentNode.removeChild(e)}}}},113(e){e.exports=function(e,t){if(t.styleSheet)t.styleSheet.cssText=e;else{for(;t.firstChild;)t.removeChild(t.firstChild);t.appendChild(document.createTextNode(e))}}}}]);