"use strict";(self.rspackChunk_cubehub_account=self.rspackChunk_cubehub_account||[]).push([[492],{55(e,t,n){n.r(t),n.d(t,{default:()=>B});var o=n(2),r=n(542),s=n(442),a=n(698);n(665);var i=n(989),l=n(500),u=n(401),c=n(901),d=n(904);let h={cache:"no-store",redirect:"manual"},p=[401,403],b=new i.Token("@cubehub/account:IAccount");class m{settings;constructor(e){this.settings=e,new l.Poll({factory:()=>this.ask(),frequency:{interval:3e3,backoff:!0,max:3e4},name:"@cubehub/account:status",standby:"when-hidden"}).start()}get changed(){return this._changed}get lost(){return this._lost}get shown(){return this._shown}async ask(){try{let e=await async function(e){let t=c.URLExt.join(e.baseUrl,"cubehub/account/status"),n=await d.ServerConnection.makeRequest(t,h,e);if(!n.ok)throw new d.ServerConnection.ResponseError(n,"The server refused to tell its status");return await n.json()}(this.settings);return this.failures=0,this.hubHome=e.hub_url,this._changed.emit(e),e}catch(e){throw this.failures+=1,this.failures>=3&&this._lost.emit(await async function(e,t){if(!(e instanceof d.ServerConnection.ResponseError))return"silent";let n="opaqueredirect"===e.response.type;if(!n&&!p.includes(e.response.status))return"silent";try{let e=await fetch(t,{...h,credentials:"same-origin"});if(e.ok)return n?"stopped":"renewed";return"opaqueredirect"===e.type||p.includes(e.status)?"refused":"silent"}catch{return"silent"}}(e,this.hubHome)),e}}noteSeen(e){this._shown.add(e),(async function(e,t){let n=c.URLExt.join(e.baseUrl,"cubehub/account/seen");await d.ServerConnection.makeRequest(n,{method:"POST",body:JSON.stringify({keys:t})},e)})(this.settings,[e]).catch(()=>void 0)}failures=0;hubHome="/hub/home";_shown=new Set;_changed=new u.Signal(this);_lost=new u.Signal(this)}var f=n(660);let y=[["TiB",0x10000000000],["GiB",0x40000000],["MiB",1048576],["KiB",1024]];function g(e){for(let[t,n]of y)if(e>=n){let o=e/n;return`${o>=100?Math.round(o):Math.round(10*o)/10} ${t}`}return`${e} B`}let v=["Jan","Feb","Mar","Apr","May","Jun","Jul","Aug","Sep","Oct","Nov","Dec"];function w(e){let t=new Date(e);if(Number.isNaN(t.getTime()))return e;let n=e=>String(e).padStart(2,"0"),o=`${n(t.getUTCDate())} ${v[t.getUTCMonth()]} ${t.getUTCFullYear()}`;return`${o} ${n(t.getUTCHours())}:${n(t.getUTCMinutes())} UTC`}let x=new Set(["resized","less_memory","withdrawn","no_room"]);function _(e){let[t,n]={silent:["RAM: no answer","Memory of your server: the server does not answer"],stopped:["Server stopped","Your server was stopped. Your files are kept."],renewed:["Load the page anew","Your server was started anew. Load the page anew to go on."],refused:["Access ended","Your server no longer accepts this page. Your files are kept."]}[e];return{text:t,label:n,share:0,level:"unknown"}}function k(e){return`${e.id}@${e.time}`}function $(e){let t=new f.Widget;return t.addClass("cubehub-notice"),t.node.append(...[e.message,...function(e){let t=[];for(let n of e.split("\n").map(e=>e.trim())){let e=t.at(-1);n.startsWith("- ")?Array.isArray(e)?e.push(n.slice(2)):t.push([n.slice(2)]):t.push(n)}return t.filter(e=>e.length>0)}(e.hint)].map(e=>{var t;let n;return Array.isArray(e)?(t=e,(n=document.createElement("ul")).append(...t.map(e=>S("li",e))),n):S("p",e)})),t}function S(e,t){let n=document.createElement(e);return n.textContent=t,n}class C{trans;nodes;constructor(e,t){this.trans=e;let n=document.createElement("dl");for(let t of[e.__("Profile"),e.__("Profile until"),e.__("Memory in use"),e.__("Memory limit"),e.__("Coming"),e.__("Home folder")]){let e=document.createElement("dt"),o=document.createElement("dd");e.textContent=t,n.append(e,o),this.rows.push([e,o])}let o=document.createElement("p");o.textContent=e.__("All notebooks, kernels and terminals share the memory. When it is used up, the kernel that uses most is stopped. To free some, shut down kernels that you do not need; to have more, ask your administrator for another profile: it reaches your running server.");let r=document.createElement("a");r.href=t.hub_url,r.target="_blank",r.rel="noopener",r.textContent=e.__("Your servers (control panel)"),this.nodes=[n,o,r],this.tell(t)}tell(e){let t=this.trans.__("unknown"),n=e=>null===e?t:g(e);[e.title||t,function({until:e}){return e?`${w(e.at)}, then ${e.title}`:null}(e),n(e.used_bytes),n(e.memory_bytes),function({coming:e}){if(!e)return null;let t=`${g(e.memory_bytes)}${e.title?` (${e.title})`:""}`;if(null===e.at)return`${t}, as soon as the machine has room`;let n=w(e.at);return e.memory_bytes?`${t} by ${n}; the server is stopped if it then uses more`:`the server is stopped at ${n}`}(e),function(e){if(null===e.home_bytes)return"being counted …";let t=`${e.home_complete?"":"more than "}${g(e.home_bytes)}`;return e.storage_bytes?`${t} of ${g(e.storage_bytes)}`:t}(e)].forEach((e,t)=>{let[n,o]=this.rows[t];o.textContent=e??"",n.hidden=o.hidden=null===e})}rows=[]}class A{button;closed;node=document.createElement("div");constructor(e,t,n){this.button=e,this.closed=n,this.node.className="jp-ThemedContainer cubehub-memory-details",this.node.setAttribute("role","dialog"),this.node.setAttribute("aria-label",t),this.node.tabIndex=-1}open(){document.body.append(this.node),this.place(),this.button.setAttribute("aria-expanded","true"),this.node.focus({preventScroll:!0});let{signal:e}=this.listening;window.addEventListener("resize",()=>this.place(),{signal:e}),document.addEventListener("pointerdown",e=>this.closeUnlessAt(e.target),{signal:e,capture:!0}),this.node.addEventListener("focusout",e=>this.closeUnlessAt(e.relatedTarget??this.node),{signal:e}),this.node.addEventListener("keydown",e=>{e.stopPropagation(),"Escape"===e.key&&(this.close(),this.button.focus())},{signal:e})}close(){this.listening.abort(),this.node.remove(),this.button.setAttribute("aria-expanded","false"),this.closed()}closeUnlessAt(e){e instanceof Node&&(this.node.contains(e)||this.button.contains(e))||this.close()}place(){let{style:e}=this.node,t=this.button.getBoundingClientRect(),n=t.top>window.innerHeight-t.bottom,o=n?t.top:window.innerHeight-t.bottom;e.top=n?"":`${t.bottom+4}px`,e.bottom=n?`${window.innerHeight-t.top+4}px`:"",e.maxBlockSize=`${Math.max(80,o-4-8)}px`;let r=this.node.getBoundingClientRect().width;e.left=`${Math.max(8,Math.min(t.left,window.innerWidth-r-8))}px`}listening=new AbortController}class T extends f.Widget{trans;constructor(e){super(),this.trans=e,this.addClass("cubehub-memory"),this.button=document.createElement("button"),this.button.type="button",this.button.className="cubehub-memory-button",this.button.setAttribute("aria-haspopup","dialog"),this.button.setAttribute("aria-expanded","false"),this.text=document.createElement("span"),this.text.setAttribute("aria-hidden","true"),this.bar=document.createElement("span"),this.bar.className="cubehub-memory-bar",this.bar.setAttribute("aria-hidden","true"),this.fill=document.createElement("span"),this.bar.append(this.fill),this.button.append(this.text,this.bar),this.button.addEventListener("click",()=>this.toggle()),this.announcer=document.createElement("span"),this.announcer.className="cubehub-visually-hidden",this.announcer.setAttribute("role","status"),this.announcer.setAttribute("aria-live","polite"),this.node.append(this.button,this.announcer),this.write({text:"RAM …",label:"Memory of your whole server: not known yet",share:0,level:"unknown"}),this.announcer.textContent=""}tell(e){this.status=e,this.write(e.ended?_("refused"):function(e){let{used_bytes:t,memory_bytes:n,title:o}=e,r=o?` \xb7 ${o}`:"";if(null===t||null===n||n<=0){let e=null===t?"RAM unknown":`RAM ${g(t)}`;return{text:e+r,label:`${e}${r}, no limit known`,share:0,level:"unknown"}}let s=Math.min(1,t/n),a=s>=.95?"full":s>=.8?"high":"ok",i=Math.round(100*s);return{text:`RAM ${function(e,t){let[n,o]=[g(e),g(t)],[r,s]=n.split(" ");return o.endsWith(` ${s}`)?`${r} / ${o}`:`${n} / ${o}`}(t,n)}${r}`,label:`Memory of your whole server: ${g(t)} of ${g(n)}, ${i} %${"full"===a?", almost at the limit":"high"===a?", getting full":""}${o?`, profile ${o}`:""}`,share:s,level:a}}(e)),this.details?.tell(e)}tellLoss(e){this.write(_(e)),this.popup?.close(),this.status=null}write(e){this.text.textContent=e.text,this.button.setAttribute("aria-label",e.label),this.button.title=e.label,this.fill.style.inlineSize=`${100*e.share}%`;let t="ok"===e.level?"":"unknown"===e.level?e.text:e.level;this.told!==t&&(this.told=t,this.announcer.textContent=t&&e.label),this.node.dataset.level=e.level}toggle(){this.popup?this.popup.close():this.status&&(this.popup=new A(this.button,this.trans.__("Your server"),()=>{this.popup=this.details=null}),this.details=new C(this.trans,this.status),this.popup.node.append(...this.details.nodes),this.popup.open())}button;text;bar;fill;announcer;status=null;told="";popup=null;details=null}let E={id:"@cubehub/account:memory",description:"Shows the memory of the whole server against its limit.",autoStart:!0,requires:[b],optional:[s.IStatusBar,a.ITranslator],activate:(e,t,n,o)=>{let r=new T((o??a.nullTranslator).load("cubehub_account"));r.id="cubehub-account-memory",t.changed.connect((e,t)=>r.tell(t)),t.lost.connect((e,t)=>r.tellLoss(t)),n?n.registerStatusItem(r.id,{item:r,align:"left",rank:20}):e.shell.add(r,"top",{rank:1e4})}},M={id:"@cubehub/account:notices",description:"Says once what is new, and plainly when access was ended.",autoStart:!0,requires:[b],optional:[r.INotebookTracker,a.ITranslator],activate:(e,t,n,r)=>{let s=(r??a.nullTranslator).load("cubehub_account"),i=!1,l=!1,u="/hub/home",c=e=>{i||(i=!0,async function(e,t,n){let{button:r}=await (0,o.showDialog)({title:n.__("Your access was ended"),body:$(e),hasClose:!1,buttons:[o.Dialog.cancelButton({label:n.__("Stay on this page")}),o.Dialog.okButton({label:n.__("Go to the start page")})]});r.accept&&window.location.assign(t)}(e,u,s))},d=new Set,[h,p]=["",""],b=(e,t,n,r)=>{let a,{text:i,more:l}=(a=`${t} ${n}`.trim()).length<=140?{text:a,more:!1}:{text:t,more:!0},u=l?[{label:s.__("More"),callback:()=>void async function(e,t){await (0,o.showDialog)({title:t.__("Your server"),body:$(e),buttons:[o.Dialog.okButton({label:t.__("Ok")})]})}({message:t,hint:n},s)}]:[],c=o.Notification.emit(i,"warning"===r?"warning":"info",{autoClose:!1,actions:u});if("until"===e||x.has(e)){for(let t of"until"===e?[p]:[h,p])t&&o.Notification.dismiss(t);"until"===e?p=c:[h,p]=[c,""]}};t.changed.connect((e,o)=>{var r,s,a,h;let p;u=o.hub_url,i=i&&null!==o.ended,l=!1;let m=(r=o.notices,s=t.shown,h=n,p=new Set,h?.forEach(e=>{let t=e.sessionContext.session?.kernel?.id;t&&p.add(t)}),a=p,r.filter(e=>"error"!==e.level&&!e.seen&&!s.has(k(e))&&!(e.kernel&&a.has(e.kernel))));for(let e of m)t.noteSeen(k(e)),b(e.code,e.message,e.hint,e.level);for(let e of function(e,t){let n=[],{coming:o,until:r}=e;if(o?.at){let e=w(o.at),t=g(o.memory_bytes);n.push({key:`coming@${o.at}@${o.memory_bytes}`,code:"less_memory",level:"warning",message:o.memory_bytes?`This server will be stopped at ${e}, unless it uses less than ${t} by then.`:`This server will be stopped at ${e}: your profile has no room for it any more.`,hint:o.memory_bytes?`Close notebooks until less than ${t} is used, and the new limit comes without a stop. Files are kept.`:"Save your work, or stop another of your servers. Files are kept.",saidBy:["less_memory"],urgent:!0})}return r&&n.push({key:`until@${r.at}@${r.title}`,code:"until",level:"info",message:`You have your profile until ${w(r.at)}, then ${r.title}.`,hint:"",saidBy:["resized"],urgent:new Date(r.at).getTime()-t<864e5}),n}(o,Date.now()))d.has(e.key)||(d.add(e.key),!m.some(t=>e.saidBy.includes(t.code))&&(e.urgent||!function(e){try{let t=window.localStorage.getItem(z);return window.localStorage.setItem(z,e),t===e}catch{return!1}}(e.key))&&b(e.code,e.message,e.hint,e.level));o.ended&&c(o.ended)}),t.lost.connect((e,t)=>{"renewed"!==t||l||i||(l=!0,async function(e){let{button:t}=await (0,o.showDialog)({title:e.__("Your server was started anew"),body:e.__("This page is of the server before it. Your files are kept; what is not saved can be copied from the page before you load it anew."),buttons:[o.Dialog.cancelButton({label:e.__("Stay on this page")}),o.Dialog.okButton({label:e.__("Load the page anew")})]});t.accept&&window.location.reload()}(s)),"refused"===t&&c({id:"refused",time:"",level:"error",code:"refused",message:s.__("Your server no longer accepts this page: your log-in or your account has ended."),hint:s.__("Your files are kept. What is not saved can be copied from this page. Log in again on the start page.")})})}},j={id:"@cubehub/account:reasons",description:"Says why a kernel was stopped, in place of a guess that it died.",autoStart:!0,requires:[b,r.INotebookTracker],optional:[a.ITranslator],activate:(e,t,n,r)=>{let s=r??a.nullTranslator,[i,l]=[s.load("cubehub_account"),s.load("jupyterlab")];n.widgetAdded.connect((e,n)=>{n.sessionContext.statusChanged.connect((e,r)=>{"autorestarting"===r&&(async e=>{var n,r,s;let a=e.sessionContext.session,u=a?.kernel?.id;if(!a||!u)return;let c=(n=(await t.ask()).notices,r=t.shown,n.filter(e=>e.kernel===u&&!r.has(k(e))).pop());if(c){let e;t.noteSeen(k(c)),(s=a.path,e=l.__("The kernel for %1 appears to have died. It will restart automatically.",s),o.Dialog.tracker.find(({node:t})=>!!(t.ariaLabel?.includes(e)||t.textContent?.includes(e))))?.reject(),await async function(e,t){await (0,o.showDialog)({title:t.__("Out of memory"),body:$(e),buttons:[o.Dialog.okButton({label:t.__("Ok")})]})}(c,i)}})(n).catch(()=>void 0)})})}},z="cubehub-account:said",B=[{id:"@cubehub/account:status",description:"Asks the server for its use, limits and notices.",autoStart:!0,provides:b,activate:e=>new m(e.serviceManager.serverSettings)},E,M,j]},646(e,t,n){var o=n(601),r=n.n(o),s=n(314),a=(n.n(s))()(r());a.push([e.id,`.cubehub-memory {
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

.cubehub-memory-button:hover,
.cubehub-memory-button[aria-expanded='true'] {
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

.cubehub-memory[data-level='unknown'] .cubehub-memory-bar {
  display: none;
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
  position: fixed;
  z-index: 10000;
  max-inline-size: 360px;
  box-sizing: border-box;
  padding: 12px 16px;
  overflow: auto;
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  border: 1px solid var(--jp-border-color1);
  box-shadow: var(--jp-elevation-z6);
  font-size: var(--jp-ui-font-size1);
  line-height: 1.5;
}

.cubehub-memory-details:focus {
  outline: none; /* the box is no control; what is in it shows its focus */
}

.cubehub-memory-details a:focus-visible {
  outline: 2px solid var(--jp-brand-color1);
  outline-offset: 2px;
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

.cubehub-notice ul {
  margin: 0 0 8px;
  padding-inline-start: 20px;
}

.cubehub-notice li {
  margin: 0 0 4px;
}

.cubehub-visually-hidden {
  position: absolute;
  inline-size: 1px;
  block-size: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
`,""]),n.d(t,{},{A:a})},314(e){e.exports=function(e){var t=[];return t.toString=function(){return this.map(function(t){var n="",o=void 0!==t[5];return t[4]&&(n+="@supports (".concat(t[4],") {")),t[2]&&(n+="@media ".concat(t[2]," {")),o&&(n+="@layer".concat(t[5].length>0?" ".concat(t[5]):""," {")),n+=e(t),o&&(n+="}"),t[2]&&(n+="}"),t[4]&&(n+="}"),n}).join("")},t.i=function(e,n,o,r,s){"string"==typeof e&&(e=[[null,e,void 0]]);var a={};if(o)for(var i=0;i<this.length;i++){var l=this[i][0];null!=l&&(a[l]=!0)}for(var u=0;u<e.length;u++){var c=[].concat(e[u]);o&&a[c[0]]||(void 0!==s&&(void 0===c[5]||(c[1]="@layer".concat(c[5].length>0?" ".concat(c[5]):""," {").concat(c[1],"}")),c[5]=s),n&&(c[2]&&(c[1]="@media ".concat(c[2]," {").concat(c[1],"}")),c[2]=n),r&&(c[4]?(c[1]="@supports (".concat(c[4],") {").concat(c[1],"}"),c[4]=r):c[4]="".concat(r)),t.push(c))}},t}},601(e){e.exports=function(e){return e[1]}},665(e,t,n){n.r(t);var o=n(72),r=n.n(o),s=n(825),a=n.n(s),i=n(659),l=n.n(i),u=n(56),c=n.n(u),d=n(540),h=n.n(d),p=n(113),b=n.n(p),m=n(646),f={};f.styleTagTransform=b(),f.setAttributes=c(),f.insert=l().bind(null,"head"),f.domAPI=a(),f.insertStyleElement=h(),r()(m.A,f);let y=m.A&&m.A.locals?m.A.locals:void 0;n.d(t,{},{default:y})},72(e){var t=[];function n(e){for(var n=-1,o=0;o<t.length;o++)if(t[o].identifier===e){n=o;break}return n}function o(e,o){for(var r={},s=[],a=0;a<e.length;a++){var i=e[a],l=o.base?i[0]+o.base:i[0],u=r[l]||0,c="".concat(l," ").concat(u);r[l]=u+1;var d=n(c),h={css:i[1],media:i[2],sourceMap:i[3],supports:i[4],layer:i[5]};if(-1!==d)t[d].references++,t[d].updater(h);else{var p=function(e,t){var n=t.domAPI(t);return n.update(e),function(t){t?(t.css!==e.css||t.media!==e.media||t.sourceMap!==e.sourceMap||t.supports!==e.supports||t.layer!==e.layer)&&n.update(e=t):n.remove()}}(h,o);o.byIndex=a,t.splice(a,0,{identifier:c,updater:p,references:1})}s.push(c)}return s}e.exports=function(e,r){var s=o(e=e||[],r=r||{});return function(e){e=e||[];for(var a=0;a<s.length;a++){var i=n(s[a]);t[i].references--}for(var l=o(e,r),u=0;u<s.length;u++){var c=n(s[u]);0===t[c].references&&(t[c].updater(),t.splice(c,1))}s=l}}},659(e){var t={};e.exports=function(e,n){var o=function(e){if(void 0===t[e]){var n=document.querySelector(e);if(window.HTMLIFrameElement&&n instanceof window.HTMLIFrameElement)try{n=n.contentDocument.head}catch(e){n=null}t[e]=n}return t[e]}(e);if(!o)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");o.appendChild(n)}},540(e){e.exports=function(e){var t=document.createElement("style");return e.setAttributes(t,e.attributes),e.insert(t,e.options),t}},56(e,t,n){e.exports=function(e){var t=n.nc;t&&e.setAttribute("nonce",t)}},825(e){e.exports=function(e){if("u"<typeof document)return{update:function(){},remove:function(){}};var t=e.insertStyleElement(e);return{update:function(n){var o,r,s;o="",n.supports&&(o+="@supports (".concat(n.supports,") {")),n.media&&(o+="@media ".concat(n.media," {")),(r=void 0!==n.layer)&&(o+="@layer".concat(n.layer.length>0?" ".concat(n.layer):""," {")),o+=n.css,r&&(o+="}"),n.media&&(o+="}"),n.supports&&(o+="}"),(s=n.sourceMap)&&"u">typeof btoa&&(o+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(s))))," */")),e.styleTagTransform(o,t,e.options)},remove:function(){var e;null===(e=t).parentNode||e.parentNode.removeChild(e)}}}},113(e){e.exports=function(e,t){if(t.styleSheet)t.styleSheet.cssText=e;else{for(;t.firstChild;)t.removeChild(t.firstChild);t.appendChild(document.createTextNode(e))}}}}]);