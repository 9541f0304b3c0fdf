"use strict";(self.rspackChunk_cubehub_account=self.rspackChunk_cubehub_account||[]).push([[230],{173(e,t,o){o.r(t),o.d(t,{default:()=>ev});var n=o(2),i=o(542),s=o(442),r=o(698);o(665);var a=o(72),l=o.n(a),h=o(825),u=o.n(h),c=o(659),d=o.n(c),b=o(56),p=o.n(b),m=o(540),f=o.n(m),g=o(113),y=o.n(g),w=o(989),v={};v.styleTagTransform=y(),v.setAttributes=p(),v.insert=d().bind(null,"head"),v.domAPI=u(),v.insertStyleElement=f(),l()(w.A,v),w.A&&w.A.locals&&w.A.locals;var x=o(370),k=o(500),_=o(401),$=o(901),A=o(904);let C={cache:"no-store",redirect:"manual"},S=[401,403],j=new x.Token("@cubehub/account:IAccount");class E{settings;constructor(e){this.settings=e,new k.Poll({factory:()=>this.ask(),frequency:{interval:3e3,backoff:!0,max:3e4},name:"@cubehub/account:status",standby:"when-hidden"}).start()}get changed(){return this._changed}get lost(){return this._lost}get shown(){return this._shown}async ask(){try{let e=await async function(e){let t=$.URLExt.join(e.baseUrl,"cubehub/account/status"),o=await A.ServerConnection.makeRequest(t,C,e);if(!o.ok)throw new A.ServerConnection.ResponseError(o,"The server refused to tell its status");return await o.json()}(this.settings);return this.failures=0,this.hubHome=e.hub_url,this._changed.emit(e),e}catch(e){throw this.failures+=1,this.failures>=3&&this._lost.emit(await async function(e,t){if(!(e instanceof A.ServerConnection.ResponseError))return"silent";let o="opaqueredirect"===e.response.type;if(!o&&!S.includes(e.response.status))return"silent";try{let e=await fetch(t,{...C,credentials:"same-origin"});if(e.ok)return o?"stopped":"renewed";return"opaqueredirect"===e.type||S.includes(e.status)?"refused":"silent"}catch{return"silent"}}(e,this.hubHome)),e}}noteSeen(e){this._shown.add(e),(async function(e,t){let o=$.URLExt.join(e.baseUrl,"cubehub/account/seen");await A.ServerConnection.makeRequest(o,{method:"POST",body:JSON.stringify({keys:t})},e)})(this.settings,[e]).catch(()=>void 0)}failures=0;hubHome="/hub/home";_shown=new Set;_changed=new _.Signal(this);_lost=new _.Signal(this)}var z=o(660);let T="cubehub-account:open-home",M=new Set(["home_filling","home_full","cleanup_coming"]),L=[["TiB",0x10000000000],["GiB",0x40000000],["MiB",1048576],["KiB",1024]];function I(e){for(let[t,o]of L)if(e>=o){let n=e/o;return`${n>=100?Math.round(n):Math.round(10*n)/10} ${t}`}return`${e} B`}let B=["Jan","Feb","Mar","Apr","May","Jun","Jul","Aug","Sep","Oct","Nov","Dec"];function N(e){let t=new Date(e);if(Number.isNaN(t.getTime()))return e;let o=e=>String(e).padStart(2,"0"),n=`${o(t.getUTCDate())} ${B[t.getUTCMonth()]} ${t.getUTCFullYear()}`;return`${n} ${o(t.getUTCHours())}:${o(t.getUTCMinutes())} UTC`}let q=new Set(["resized","less_memory","withdrawn","no_room"]);function D(e){let[t,o]={silent:["RAM: no answer","Memory of your server: the server does not answer"],stopped:["Server stopped","Your server was stopped. Your files are kept."],renewed:["Load the page anew","Your server was started anew. Load the page anew to go on."],refused:["Access ended","Your server no longer accepts this page. Your files are kept."]}[e];return{text:t,label:o,share:0,level:"unknown"}}function R(e){return`${e.id}@${e.time}`}function W(e){let t=new z.Widget;return t.addClass("cubehub-notice"),t.node.append(...[e.message,...function(e){let t=[];for(let o of e.split("\n").map(e=>e.trim())){let e=t.at(-1);o.startsWith("- ")?Array.isArray(e)?e.push(o.slice(2)):t.push([o.slice(2)]):t.push(o)}return t.filter(e=>e.length>0)}(e.hint)].map(e=>{var t;let o;return Array.isArray(e)?(t=e,(o=document.createElement("ul")).append(...t.map(e=>U("li",e))),o):U("p",e)})),t}function U(e,t){let o=document.createElement(e);return o.textContent=t,o}function Y(e,t="",...o){let n=document.createElement(e);return t&&(n.className=t),n.append(...o),n}function H(e){return Y("bdi","cubehub-home-name",e)}function O(e,t,o=""){let n=Y("button",`cubehub-home-button ${o}`.trim(),e);return n.type="button",n.addEventListener("click",t),n}function F(e){return""===e?"Your whole home":e}function K(e){let t=Math.round(100*e);return t<1&&e>0?"< 1 %":`${t} %`}function P(e){let t=/^(\d{2} \w{3} -?\d+) /.exec(N(e));return t?t[1]:e}function G(e){let t=e.replace(/^(\.?\/)+/,"").replace(/\/+$/,"");return t.split("/").includes("..")?"":t}let J=0;class Q{trans;node=Y("form","cubehub-home-form");constructor(e,t,o){this.trans=e,J+=1;let n=Y("label","",e.__("File or folder to bring back")),i=Y("label","",e.__("Choose from what is in it"));this.typed.id=n.htmlFor=`cubehub-restore-typed-${J}`,this.list.id=i.htmlFor=`cubehub-restore-list-${J}`,this.typed.type="text",this.typed.autocomplete="off",this.typed.spellcheck=!1,this.list.size=6,this.wrong.id=`cubehub-restore-wrong-${J}`,this.wrong.setAttribute("role","alert"),this.typed.setAttribute("aria-describedby",this.wrong.id),this.about.setAttribute("role","status"),this.about.textContent=e.__("Looking at what is in it …");let s=Y("button","cubehub-home-button",e.__("Restore this"));s.type="submit",this.node.append(n,this.typed,this.wrong,i,this.list,this.about,Y("div","cubehub-home-buttons",s,O(e.__("Cancel"),o))),this.typed.addEventListener("input",()=>{this.refuse(""),this.fill()}),this.list.addEventListener("change",()=>{this.list.value&&(this.typed.value=this.list.value,this.refuse(""))}),this.node.addEventListener("keydown",e=>{e.stopPropagation(),"Escape"===e.key&&o()}),this.node.addEventListener("submit",e=>{var o,n;let i;e.preventDefault();let s=(o=this.typed.value,n=this.entries,i=G(o),o.split("/").includes("..")?"“..” does not work here. Give a name as it stands in the list.":i?n.length>0&&n.length<1e3&&!n.some(e=>e.path===i)?`There is no “${i}” in it. Look how it is written in the list, or choose it there.`:"":"Type the name of a file or folder, or choose one from the list.");this.refuse(s),s?(this.fill(""),this.typed.focus()):t(G(this.typed.value))})}tell(e){this.entries=e,this.fill()}tellUnknown(e){this.about.textContent=`${e} ${this.trans.__("You can type a path.")}`}refuse(e){this.wrong.textContent=e,this.typed.setAttribute("aria-invalid",String(""!==e))}fill(e=this.typed.value){var t,o;let n=function(e,t,o=200){let n=t.trim().toLowerCase();return e.filter(e=>e.path.toLowerCase().includes(n)).slice(0,o)}(this.entries,e);this.list.replaceChildren(...n.map(e=>{let t=Y("option","",`${e.path}${e.folder?"/":""} (${I(e.bytes)})`);return t.value=e.path,t})),this.about.textContent=(t=n.length,o=this.entries.length,`${t} of ${o} shown.${o>=1e3?" There may be others in it; you can type a path.":""}`)}entries=[];typed=Y("input");list=Y("select");about=Y("p","cubehub-home-about");wrong=Y("p","cubehub-home-wrong")}class V{trans;actions;noticed;away;kept;caches;constructor(e,t){this.trans=e,this.actions=t,this.noticed=X(e.__("Going to be cleaned up")),this.away=X(e.__("Moved away")),this.kept=X(e.__("Kept")),this.caches=X(e.__("Caches"))}tell(e,t){for(let t of[this.noticed,this.away,this.kept,this.caches])t.hidden=null===e;if(!e)return;let{trans:o}=this;this.fill(this.noticed,o.__("Nothing."),e.noticed.map(e=>Z(F(e.path),function({reason:e,bytes:t,when:o,notice:n}){return`${I(t)}. Will be moved away from ${P(o)} on: ${e.replace(/\.+$/,"")}.${2===n?" This was the last notice.":""}`}(e),[ee(o.__("Keep 90 days"),e.path,t=>this.actions.keep(e.path,t))])),e.left_out.noticed),this.fill(this.away,o.__("Nothing."),e.away.map(e=>this.awayItem(e,t.has(e.number))),e.left_out.away),this.fill(this.kept,o.__("Nothing. What you keep is not cleaned up."),e.kept.map(e=>{let{text:t,own:n}=function({until:e,by:t}){let o=e?` until ${P(e)}`:"";return{text:({you:`Kept by you${o}.`,admin:`Kept by an administrator${o}.`,file:`Kept${o} by the file .cubehub-keep in it. Delete that file to end it.`})[t],own:"you"===t}}(e),i=n?[ee(o.__("No longer keep"),e.path,t=>this.actions.letGo(e.path,t))]:[];return Z(F(e.path),t,i)}),e.left_out.kept);let n=e.scan?.caches??[];this.caches.hidden=0===n.length,this.fill(this.caches,"",n.map(e=>Z(e.kind,`${I(e.bytes)}. ${e.about}`,[])))}awayItem(e,t){let{trans:o}=this,{text:n,restorable:i}=function({bytes:e,state:t,since:o,until:n,archived:i}){let s="purged"!==t||i;if(!s)return{text:`${I(e)}. Deleted on ${P(o)}.`,restorable:s};let r=n?`kept until ${P(n)}`:"kept without an end";return{text:`${I(e)}. ${({quarantined:"Set aside",archived:"Set aside, and in the archive",purged:"In the archive"})[t]} since ${P(o)}, ${r}.`,restorable:s}}(e);if(!i||t)return Z(F(e.path),t?`${n} ${o.__("It is being restored.")}`:n,[]);let s=ee(o.__("Restore"),e.path,t=>this.actions.restore(e,null,t)),r=ee(o.__("Restore a file…"),e.path,()=>this.openForm(e,r));return r.setAttribute("aria-expanded","false"),Z(F(e.path),n,[s,r])}openForm(e,t){let o=t.closest("li"),n=o?.querySelector("form");if(!o||n){n?.remove(),t.setAttribute("aria-expanded","false");return}let i=new Q(this.trans,t=>this.actions.restore(e,t,i.node),()=>{i.node.remove(),t.setAttribute("aria-expanded","false"),t.focus()});o.append(i.node),t.setAttribute("aria-expanded","true"),i.typed.focus(),this.actions.inside(e).then(e=>i.tell(e),e=>i.tellUnknown(e instanceof Error?e.message:""))}fill(e,t,o,n=0){n&&o.push(Y("li","cubehub-home-item",this.trans.__("And %1 more.",String(n)))),e.lastElementChild?.replaceWith(o.length?Y("ul","cubehub-home-list",...o):Y("p","cubehub-home-nothing",t))}}function X(e){let t=Y("h3","",e);return t.tabIndex=-1,Y("section","cubehub-home-section",t,Y("div"))}function Z(e,t,o){let n=Y("li","cubehub-home-item",Y("strong","",H(e)),Y("p","",t));return o.length&&n.append(Y("div","cubehub-home-buttons",...o)),n}function ee(e,t,o){let n=O(e,()=>o(n));return n.setAttribute("aria-label",`${e}: ${F(t)}`),n}class et{large;constructor(e,t=[]){for(let o of(this.large=t,e))this.places.set(o.path,o);for(let t of e)""!==t.path&&this.add(this.above(t.path),t)}has(e){return this.places.has(e)}bytes(e){return this.places.get(e)?.bytes??0}above(e){let t=e;for(;t.includes("/");)if(t=t.slice(0,t.lastIndexOf("/")),this.places.has(t))return t;return""}way(e){let t=[];for(let o=e;""!==o;o=this.above(o))t.unshift({path:o,name:ei(o,this.above(o))});return[{path:"",name:""},...t]}parts(e){let t=this.bytes(e),o=(o,n,i,s)=>({kind:o,path:n,name:ei(n,e),bytes:i,share:t>0?Math.min(1,i/t):0,newest:s??null}),n=(this.inside.get(e)??[]).map(e=>o("folder",e.path,e.bytes,e.newest));for(let t of this.large)this.above(t.path)!==e||this.places.has(t.path)||n.push(o("file",t.path,t.bytes,t.newest));n.sort((e,t)=>t.bytes-e.bytes||(e.name<t.name?-1:1));let i=t-n.reduce((e,t)=>e+t.bytes,0);return i>0&&n.push({...o("files",e,i),name:""}),n.sort((e,t)=>t.bytes-e.bytes)}add(e,t){let o=this.inside.get(e);o?o.push(t):this.inside.set(e,[t])}places=new Map;inside=new Map}function eo(e,t,o,n){return Math.max(n*n*e/(o*o),o*o/(n*n*t))}let en={ArrowLeft:[-1,0],ArrowRight:[1,0],ArrowUp:[0,-1],ArrowDown:[0,1]};function ei(e,t){return""===t?e:e.slice(t.length+1)}class es{trans;keep;node=Y("div","cubehub-home-map");constructor(e,t){this.trans=e,this.keep=t,this.area.setAttribute("role","group"),this.area.addEventListener("keydown",e=>this.onKey(e)),this.way.setAttribute("aria-label",e.__("Where you are")),this.keepButton=O(e.__("Keep this folder 90 days"),()=>this.keep(this.path,this.keepButton));let o=Y("table","cubehub-home-table"),n=Y("tr");for(let[t,o]of[[e.__("Name"),!1],[e.__("Size"),!0],[e.__("Share"),!0],[e.__("Newest file"),!0]]){let e=Y("th",o?"cubehub-home-number":"",t);e.scope="col",n.append(e)}this.caption=Y("caption","cubehub-visually-hidden"),o.append(this.caption,Y("thead","",n),this.rows),this.more.hidden=!0,this.node.append(this.way,this.area,Y("div","cubehub-home-scroll",o),this.more,this.keepButton),new ResizeObserver(()=>this.place()).observe(this.area)}tell(e,t,o){this.folders=new et(e,t),this.keeps=o,this.show(this.folders.has(this.path)?this.path:"")}show(e,t){this.path=e;let o=this.folders.parts(e),n=e||this.trans.__("Your home");this.writeWay(),this.shown=function(e){let t=e.filter(e=>e.bytes>0&&e.share>=.004).slice(0,30),o=e.filter(e=>e.bytes>0&&!t.includes(e)),n=e=>o.reduce((t,o)=>t+e(o),0);if(.004>n(e=>e.share))return t;if(1===o.length)return[...t,o[0]];if(o.length>1){let e=o.reduce((e,{newest:t})=>null===t||(e??t)>t?e:t,null),i={...o[0],kind:"rest",name:String(o.length),bytes:n(e=>e.bytes),share:n(e=>e.share),newest:e};return[...t,i].sort((e,t)=>t.bytes-e.bytes)}return t}(o),this.buttons=this.shown.map((e,t)=>this.tile(e,t)),this.area.setAttribute("aria-label",this.trans.__("What is in %1, by size. Arrow keys move, Enter opens, Backspace goes up.",n)),this.area.replaceChildren(...this.buttons),this.buttons.length||this.area.append(Y("p","cubehub-home-nothing",this.trans.__("There are no files here."))),this.caption.textContent=this.trans.__("What is in %1, by size",n),this.rows.replaceChildren(...o.slice(0,200).map(e=>this.row(e))),this.more.hidden=o.length<=200,this.more.textContent=this.trans.__("And %1 smaller ones.",String(o.length-200)),this.keepButton.hidden=!this.keeps||""===e,this.place();let i="first"===t||void 0===t?0:this.shown.findIndex(e=>e.path===t);this.rove(Math.max(0,i),void 0!==t)}writeWay(){let e=Y("ol","cubehub-home-way");for(let t of this.folders.way(this.path)){let o=""===t.path?this.trans.__("Home"):t.name,n=Y("li");if(t.path===this.path)n.append(H(o)),n.setAttribute("aria-current","page");else{let e=O("",()=>this.show(t.path,"first"),"cubehub-home-link");e.append(H(o)),n.append(e)}e.append(n)}e.lastElementChild?.append(` (${I(this.folders.bytes(this.path))})`),this.way.replaceChildren(e)}tile(e,t){let o=O("",()=>this.open(e),"cubehub-home-tile"),n=this.nameOf(e),i=I(e.bytes);o.dataset.kind=e.kind,o.style.setProperty("--cubehub-share",`${Math.round(8+30*e.share)}%`),o.tabIndex=-1,o.title=`${n}
${i}, ${K(e.share)}`;let s="folder"===e.kind?this.trans.__("folder"):"file"===e.kind?this.trans.__("file"):"";return o.setAttribute("aria-label",[n,s,i,K(e.share)].filter(Boolean).join(", ")),"folder"!==e.kind&&o.setAttribute("aria-disabled","true"),o.append(H(n),Y("span","cubehub-home-size",i)),o.addEventListener("focus",()=>this.rove(t,!1)),o}row(e){let t,o=Y("th",`cubehub-home-cell cubehub-home-${e.kind}`);if(o.scope="row","folder"===e.kind){let t=O("",()=>this.open(e),"cubehub-home-link");t.append(H(`${e.name}/`)),o.append(t)}else o.append(H(this.nameOf(e)));return Y("tr","",o,...[I(e.bytes),K(e.share),Number.isNaN((t=new Date((e.newest??0/0)*1e3)).getTime())?"":P(t.toISOString())].map(e=>Y("td","cubehub-home-number",e)))}nameOf(e){switch(e.kind){case"files":return""===e.path&&1===this.shown.length?this.trans.__("files"):this.trans.__("other files here");case"rest":return this.trans.__("%1 smaller",e.name);default:return e.name}}open(e){"folder"===e.kind&&this.show(e.path,"first")}place(){let{clientWidth:e,clientHeight:t}=this.area;this.boxes=function(e,t,o){let n=e.reduce((e,t)=>e+t,0);if(!(n>0&&t>0&&o>0))return e.map(()=>({x:0,y:0,width:0,height:0}));let i=e.map(e=>e/n*t*o),s=[],r={x:0,y:0,width:t,height:o};for(let e=0;e<i.length;){let t=Math.min(r.width,r.height),o=e+1,n=i[e];for(;o<i.length;){let s=n+i[o];if(eo(i[e],i[o],s,t)>eo(i[e],i[o-1],n,t))break;n=s,o+=1}r=function(e,t,o,n){let i=o.width>=o.height,s=i?t/o.height:t/o.width,r=i?o.y:o.x;for(let t of e){let e=s>0?t/s:0;n.push(i?{x:o.x,y:r,width:s,height:e}:{x:r,y:o.y,width:e,height:s}),r+=e}return i?{...o,x:o.x+s,width:Math.max(0,o.width-s)}:{...o,y:o.y+s,height:Math.max(0,o.height-s)}}(i.slice(e,o),n,r,s),e=o}return s}(this.shown.map(e=>e.bytes),e,t),this.buttons.forEach((e,t)=>{let o=this.boxes[t];Object.assign(e.style,{left:`${o.x}px`,top:`${o.y}px`,width:`${o.width}px`,height:`${o.height}px`});let n=o.width<44||o.height<23?"none":o.height<38?"name":"all";e.dataset.room=n})}onKey(e){if(e.altKey||e.ctrlKey||e.metaKey)return;let t=this.buttons.indexOf(document.activeElement),o={Home:0,End:this.buttons.length-1}[e.key]??function(e,t,o){let n=en[o];if(!n||!e[t])return null;let i=e=>[e.x+e.width/2,e.y+e.height/2],[s,r]=i(e[t]),[a,l]=[null,1/0];return e.forEach((e,o)=>{let[h,u]=i(e),c=(h-s)*n[0]+(u-r)*n[1],d=c+2*(Math.abs((h-s)*n[1])+Math.abs((u-r)*n[0]));o!==t&&c>1e-6&&d<l&&([a,l]=[o,d])}),a}(this.boxes,t,e.key);if(null!==o&&this.buttons[o])this.rove(o,!0);else if("Backspace"===e.key&&""!==this.path)this.show(this.folders.above(this.path),this.path);else if(!e.key.startsWith("Arrow"))return;e.preventDefault(),e.stopPropagation()}rove(e,t){this.buttons.forEach((t,o)=>t.tabIndex=o===e?0:-1),t&&this.buttons[e]?.focus()}folders=new et([]);path="";keeps=!1;shown=[];buttons=[];boxes=[];way=Y("nav");area=Y("div","cubehub-home-area");rows=Y("tbody");caption;more=Y("p");keepButton}class er extends Error{trouble;constructor(e){super(e.message),this.trouble=e}}class ea{settings;constructor(e){this.settings=e}tell(){return this.ask("storage")}keep(e,t){return this.ask("storage/keep",{path:e,days:t})}letGo(e){return this.ask("storage/let-go",{path:e})}restore(e,t){return this.ask("storage/restore",{number:e,only:t})}async inside(e){let{entries:t}=await this.ask(`storage/inside?number=${e}`);return t}async ask(e,t){let o,n=$.URLExt.join(this.settings.baseUrl,"cubehub/account",e),i=t?{method:"POST",body:JSON.stringify(t),redirect:"manual"}:{cache:"no-store",redirect:"manual"},s=!1;try{let e=await A.ServerConnection.makeRequest(n,i,this.settings);s=e.ok,o=await e.json()}catch{throw new er({code:"no_answer",message:"Your server does not answer.",hint:"Look whether it still runs, then try again."})}if(!s)throw new er(eh(o));return o}}function el(e){return e instanceof er?e.trouble:eh(null)}function eh(e){let{code:t,message:o,hint:n}=e??{};return"string"==typeof t&&"string"==typeof o&&"string"==typeof n?{code:t,message:o,hint:n}:{code:"unknown",message:"It did not work.",hint:"Load the page anew and try again."}}class eu extends z.Widget{requests;trans;constructor(e,t){super(),this.requests=e,this.trans=t,this.addClass("cubehub-home"),this.title.caption=t.__("What fills my home"),this.title.iconClass="cubehub-home-icon",this.node.setAttribute("aria-label",t.__("What fills my home")),this.node.setAttribute("role","region"),this.again.textContent=t.__("Look again"),this.state.setAttribute("role","status"),this.trouble.setAttribute("role","alert"),this.bar.setAttribute("aria-hidden","true"),this.bar.append(this.fill);let o=X(t.__("In use"));o.lastElementChild?.replaceWith(Y("div","",this.bar,this.use)),this.folders=X(t.__("Folders")),this.map=new es(t,(e,t)=>this.keep(e,t)),this.folders.lastElementChild?.replaceWith(Y("div","",this.map.node,this.about)),this.lists=new V(t,{keep:(e,t)=>this.keep(e,t),letGo:(e,t)=>this.letGo(e,t),restore:(e,t,o)=>this.restore(e,t,o),inside:e=>this.requests.inside(e.number)});let n=Y("div","cubehub-home-head",Y("h2","",t.__("What fills my home")),this.again);this.node.append(n,this.state,this.trouble,o,this.lists.noticed,this.folders,this.lists.away,this.lists.kept,this.lists.caches),this.lists.tell(null,this.restoring),this.folders.hidden=!0,this.use.textContent=t.__("Being counted …")}tellLimit(e){e!==this.limit&&(this.limit=e,this.writeUse())}async look(){if(!this.looking){this.looking=!0,this.again.setAttribute("aria-disabled","true"),this.state.textContent=this.told?this.state.textContent:this.trans.__("Looking …");try{this.write(await this.requests.tell()),this.looked=Date.now(),this.state.textContent===this.trans.__("Looking …")&&(this.state.textContent="")}catch(e){this.state.textContent="",this.writeTrouble(el(e))}finally{this.looking=!1,this.again.removeAttribute("aria-disabled")}this.told&&!this.told.local&&this.isVisible&&!this.isDisposed&&window.setTimeout(()=>void(this.isDisposed||this.look()),3e3)}}onAfterShow(e){super.onAfterShow(e),null===this.node.querySelector("form")&&Date.now()-this.looked>6e4&&this.look()}onActivateRequest(e){super.onActivateRequest(e),this.again.focus()}write(e){this.told=e,this.writeUse(),this.writeTrouble(e.trouble);let t=function({local:e,service:t}){if(t?.scan){let{places:e,large:o,ended:n}=t.scan;return{places:e,large:o,about:`As the platform found it on ${N(n)}.`}}if(e){let t=e.complete?"":" There are too many files to count all.";return{places:e.places,large:[],about:`Counted by your server on ${N(e.counted)}.${t}`}}return null}(e);this.folders.hidden=!t,t&&(this.about.textContent=t.about,this.map.tell(t.places,t.large,null!==e.service)),this.lists.tell(e.service,this.restoring)}writeUse(){let e=this.told?function({local:e,service:t},o){let n=e??t?.scan;if(!n)return null;let i=t?.limit_bytes??o,s=`${e&&!e.complete?"more than ":""}${I(n.bytes)}`;if(!i||i<=0)return{text:`${s}, no limit known`,share:0,level:"unknown"};let r=n.bytes/i,a=r>=.95?"full":r>=.8?"high":"ok";return{text:`${s} of ${I(i)}, ${Math.floor(100*r)} %${({full:", almost full",high:", filling up",ok:"",unknown:""})[a]}`,share:Math.min(1,r),level:a}}(this.told,this.limit):null;this.use.textContent=e?.text??this.trans.__("Being counted …"),this.bar.dataset.level=e?.level??"unknown",this.fill.style.inlineSize=`${(e?.share??0)*100}%`}writeTrouble(e){this.trouble.hidden=!e,this.trouble.replaceChildren(...e?ec(e):[]),this.trouble.dataset.level=e?.code==="storage_absent"?"info":"error"}keep(e,t){let{trans:o}=this;this.act(t,o.__("Keeping %1 …",F(e)),async()=>(this.writeService(await this.requests.keep(e,90)),o.__("%1 is kept for %2 days.",F(e),String(90))))}letGo(e,t){let{trans:o}=this;this.act(t,o.__("Letting %1 go …",F(e)),async()=>(this.writeService(await this.requests.letGo(e)),o.__("%1 is no longer kept.",F(e))))}restore(e,t,o){let{trans:n}=this,i=t??F(e.path);this.act(o,n.__("Restoring %1 … From an archive this can take minutes.",i),async()=>{this.restoring.add(e.number);let{restored:o,bytes:i}=await this.requests.restore(e.number,t).finally(()=>this.restoring.delete(e.number));return this.write(await this.requests.tell()),n.__("Restored: %1 (%2).",F(o),I(i))})}writeService(e){this.write({local:this.told?.local??null,service:e,trouble:null})}async act(e,t,o){let n=e.closest("li")??e.parentElement??this.node;if("true"===n.getAttribute("aria-busy"))return;let i=e.closest("section"),s=[...n.querySelectorAll("button:not([aria-disabled='true'])")];n.querySelector(".cubehub-home-trouble")?.remove(),n.setAttribute("aria-busy","true"),s.forEach(e=>e.setAttribute("aria-disabled","true")),this.state.textContent=t;try{this.state.textContent=await o(),this.node.contains(document.activeElement)||i?.querySelector("h3")?.focus()}catch(i){if(this.state.textContent="",!n.isConnected){this.lists.tell(this.told?.service??null,this.restoring),this.writeTrouble(el(i));return}let t=e.querySelector(".cubehub-home-wrong");if(t){let{message:e,hint:o}=el(i);t.textContent=`${e} ${o}`;return}let o=Y("div","cubehub-home-trouble",...ec(el(i)));o.setAttribute("role","alert"),n.append(o)}finally{n.removeAttribute("aria-busy"),s.forEach(e=>e.removeAttribute("aria-disabled"))}}told=null;limit=null;looked=0;looking=!1;restoring=new Set;again=O("",()=>void this.look());state=Y("p","cubehub-home-state");trouble=Y("div","cubehub-home-trouble");bar=Y("div","cubehub-home-bar");fill=Y("span");use=Y("p","cubehub-home-use");about=Y("p","cubehub-home-about");folders;map;lists}function ec({code:e,message:t,hint:o}){return[Y("p","",t),Y("p","",o),Y("p","cubehub-home-code",e)]}let ed={id:"@cubehub/account:home",description:"Shows what fills the home, what will be cleaned up, and brings back what was.",autoStart:!0,requires:[j],optional:[n.ICommandPalette,r.ITranslator],activate:(e,t,o,n)=>{let i=(n??r.nullTranslator).load("cubehub_account"),s=null,a=null;t.changed.connect((e,t)=>{a=t.storage_bytes,s?.tellLimit(a)}),e.commands.addCommand(T,{label:i.__("What Fills My Home"),caption:i.__("Folders by size, what will be cleaned up, and what was moved away"),describedBy:{args:{type:"object",properties:{}}},execute:()=>{(!s||s.isDisposed)&&((s=new eu(new ea(e.serviceManager.serverSettings),i)).id="cubehub-account-home",s.tellLimit(a),e.shell.add(s,"right",{rank:900,type:"CubeHub"})),e.shell.activateById(s.id)}}),o?.addItem({command:T,category:i.__("Your Server")})}};class eb{trans;nodes;constructor(e,t,o){this.trans=e;let n=document.createElement("dl"),i=[e.__("Profile"),e.__("Profile until"),e.__("Memory in use"),e.__("Memory limit"),e.__("Coming"),e.__("Home folder")];for(let e of i){let t=document.createElement("dt"),o=document.createElement("dd"),i=document.createElement("span");t.textContent=e,o.append(i),n.append(t,o),this.rows.push([t,o,i])}let s=document.createElement("button");s.type="button",s.className="cubehub-home-link",s.textContent=e.__("What fills it"),s.setAttribute("aria-label",e.__("What fills my home")),s.addEventListener("click",o),this.rows[i.length-1][1].append(" ",s);let r=document.createElement("p");r.textContent=e.__("All notebooks, kernels and terminals share the memory. When it is used up, the kernel that uses most is stopped. To free some, shut down kernels that you do not need; to have more, ask your administrator for another profile: it reaches your running server.");let a=document.createElement("a");a.href=t.hub_url,a.target="_blank",a.rel="noopener",a.textContent=e.__("Your servers (control panel)"),this.nodes=[n,r,a],this.tell(t)}tell(e){let t=this.trans.__("unknown"),o=e=>null===e?t:I(e);[e.title||t,function({until:e}){return e?`${N(e.at)}, then ${e.title}`:null}(e),o(e.used_bytes),o(e.memory_bytes),function({coming:e}){if(!e)return null;let t=`${I(e.memory_bytes)}${e.title?` (${e.title})`:""}`;if(null===e.at)return`${t}, as soon as the machine has room`;let o=N(e.at);return e.memory_bytes?`${t} by ${o}; the server is stopped if it then uses more`:`the server is stopped at ${o}`}(e),function(e){if(null===e.home_bytes)return"being counted …";let t=`${e.home_complete?"":"more than "}${I(e.home_bytes)}`;return e.storage_bytes?`${t} of ${I(e.storage_bytes)}`:t}(e)].forEach((e,t)=>{let[o,n,i]=this.rows[t];i.textContent=e??"",o.hidden=n.hidden=null===e})}rows=[]}class ep{button;closed;node=document.createElement("div");constructor(e,t,o){this.button=e,this.closed=o,this.node.className="jp-ThemedContainer cubehub-memory-details",this.node.setAttribute("role","dialog"),this.node.setAttribute("aria-label",t),this.node.tabIndex=-1}open(){document.body.append(this.node),this.place(),this.button.setAttribute("aria-expanded","true"),this.node.focus({preventScroll:!0});let{signal:e}=this.listening;window.addEventListener("resize",()=>this.place(),{signal:e}),document.addEventListener("pointerdown",e=>this.closeUnlessAt(e.target),{signal:e,capture:!0}),this.node.addEventListener("focusout",e=>this.closeUnlessAt(e.relatedTarget??this.node),{signal:e}),this.node.addEventListener("keydown",e=>{e.stopPropagation(),"Escape"===e.key&&(this.close(),this.button.focus())},{signal:e})}close(){this.listening.abort(),this.node.remove(),this.button.setAttribute("aria-expanded","false"),this.closed()}closeUnlessAt(e){e instanceof Node&&(this.node.contains(e)||this.button.contains(e))||this.close()}place(){let{style:e}=this.node,t=this.button.getBoundingClientRect(),o=t.top>window.innerHeight-t.bottom,n=o?t.top:window.innerHeight-t.bottom;e.top=o?"":`${t.bottom+4}px`,e.bottom=o?`${window.innerHeight-t.top+4}px`:"",e.maxBlockSize=`${Math.max(80,n-4-8)}px`;let i=this.node.getBoundingClientRect().width;e.left=`${Math.max(8,Math.min(t.left,window.innerWidth-i-8))}px`}listening=new AbortController}class em extends z.Widget{trans;openHome;constructor(e,t){super(),this.trans=e,this.openHome=t,this.addClass("cubehub-memory"),this.button=document.createElement("button"),this.button.type="button",this.button.className="cubehub-memory-button",this.button.setAttribute("aria-haspopup","dialog"),this.button.setAttribute("aria-expanded","false"),this.text=document.createElement("span"),this.text.setAttribute("aria-hidden","true"),this.bar=document.createElement("span"),this.bar.className="cubehub-memory-bar",this.bar.setAttribute("aria-hidden","true"),this.fill=document.createElement("span"),this.bar.append(this.fill),this.button.append(this.text,this.bar),this.button.addEventListener("click",()=>this.toggle()),this.announcer=document.createElement("span"),this.announcer.className="cubehub-visually-hidden",this.announcer.setAttribute("role","status"),this.announcer.setAttribute("aria-live","polite"),this.node.append(this.button,this.announcer),this.write({text:"RAM …",label:"Memory of your whole server: not known yet",share:0,level:"unknown"}),this.announcer.textContent=""}tell(e){this.status=e,this.write(e.ended?D("refused"):function(e){let{used_bytes:t,memory_bytes:o,title:n}=e,i=n?` \xb7 ${n}`:"";if(null===t||null===o||o<=0){let e=null===t?"RAM unknown":`RAM ${I(t)}`;return{text:e+i,label:`${e}${i}, no limit known`,share:0,level:"unknown"}}let s=Math.min(1,t/o),r=s>=.95?"full":s>=.8?"high":"ok",a=Math.round(100*s);return{text:`RAM ${function(e,t){let[o,n]=[I(e),I(t)],[i,s]=o.split(" ");return n.endsWith(` ${s}`)?`${i} / ${n}`:`${o} / ${n}`}(t,o)}${i}`,label:`Memory of your whole server: ${I(t)} of ${I(o)}, ${a} %${"full"===r?", almost at the limit":"high"===r?", getting full":""}${n?`, profile ${n}`:""}`,share:s,level:r}}(e)),this.details?.tell(e)}tellLoss(e){this.write(D(e)),this.popup?.close(),this.status=null}write(e){this.text.textContent=e.text,this.button.setAttribute("aria-label",e.label),this.button.title=e.label,this.fill.style.inlineSize=`${100*e.share}%`;let t="ok"===e.level?"":"unknown"===e.level?e.text:e.level;this.told!==t&&(this.told=t,this.announcer.textContent=t&&e.label),this.node.dataset.level=e.level}toggle(){this.popup?this.popup.close():this.status&&(this.popup=new ep(this.button,this.trans.__("Your server"),()=>{this.popup=this.details=null}),this.details=new eb(this.trans,this.status,()=>{this.popup?.close(),this.openHome()}),this.popup.node.append(...this.details.nodes),this.popup.open())}button;text;bar;fill;announcer;status=null;told="";popup=null;details=null}let ef={id:"@cubehub/account:memory",description:"Shows the memory of the whole server against its limit.",autoStart:!0,requires:[j],optional:[s.IStatusBar,r.ITranslator],activate:(e,t,o,n)=>{let i=new em((n??r.nullTranslator).load("cubehub_account"),()=>void e.commands.execute(T));i.id="cubehub-account-memory",t.changed.connect((e,t)=>i.tell(t)),t.lost.connect((e,t)=>i.tellLoss(t)),o?o.registerStatusItem(i.id,{item:i,align:"left",rank:20}):e.shell.add(i,"top",{rank:1e4})}},eg={id:"@cubehub/account:notices",description:"Says once what is new, and plainly when access was ended.",autoStart:!0,requires:[j],optional:[i.INotebookTracker,r.ITranslator],activate:(e,t,o,i)=>{let s=(i??r.nullTranslator).load("cubehub_account"),a=!1,l=!1,h="/hub/home",u=e=>{a||(a=!0,async function(e,t,o){let{button:i}=await (0,n.showDialog)({title:o.__("Your access was ended"),body:W(e),hasClose:!1,buttons:[n.Dialog.cancelButton({label:o.__("Stay on this page")}),n.Dialog.okButton({label:o.__("Go to the start page")})]});i.accept&&window.location.assign(t)}(e,h,s))},c=new Set,[d,b]=["",""],p=(t,o,i,r)=>{let a,{text:l,more:h}=(a=`${o} ${i}`.trim()).length<=140?{text:a,more:!1}:{text:o,more:!0},u=h?[{label:s.__("More"),callback:()=>void async function(e,t){await (0,n.showDialog)({title:t.__("Your server"),body:W(e),buttons:[n.Dialog.okButton({label:t.__("Ok")})]})}({message:o,hint:i},s)}]:[];M.has(t)&&u.unshift({label:s.__("What fills it"),callback:()=>void e.commands.execute(T)});let c=n.Notification.emit(l,"warning"===r?"warning":"info",{autoClose:!1,actions:u});if("until"===t||q.has(t)){for(let e of"until"===t?[b]:[d,b])e&&n.Notification.dismiss(e);"until"===t?b=c:[d,b]=[c,""]}};t.changed.connect((e,n)=>{var i,s,r,d;let b;h=n.hub_url,a=a&&null!==n.ended,l=!1;let m=(i=n.notices,s=t.shown,d=o,b=new Set,d?.forEach(e=>{let t=e.sessionContext.session?.kernel?.id;t&&b.add(t)}),r=b,i.filter(e=>"error"!==e.level&&!e.seen&&!s.has(R(e))&&!(e.kernel&&r.has(e.kernel))));for(let e of m)t.noteSeen(R(e)),p(e.code,e.message,e.hint,e.level);for(let e of function(e,t){let o=[],{coming:n,until:i}=e;if(n?.at){let e=N(n.at),t=I(n.memory_bytes);o.push({key:`coming@${n.at}@${n.memory_bytes}`,code:"less_memory",level:"warning",message:n.memory_bytes?`This server will be stopped at ${e}, unless it uses less than ${t} by then.`:`This server will be stopped at ${e}: your profile has no room for it any more.`,hint:n.memory_bytes?`Close notebooks until less than ${t} is used, and the new limit comes without a stop. Files are kept.`:"Save your work, or stop another of your servers. Files are kept.",saidBy:["less_memory"],urgent:!0})}return i&&o.push({key:`until@${i.at}@${i.title}`,code:"until",level:"info",message:`You have your profile until ${N(i.at)}, then ${i.title}.`,hint:"",saidBy:["resized"],urgent:new Date(i.at).getTime()-t<864e5}),o}(n,Date.now()))c.has(e.key)||(c.add(e.key),!m.some(t=>e.saidBy.includes(t.code))&&(e.urgent||!function(e){try{let t=window.localStorage.getItem(ew);return window.localStorage.setItem(ew,e),t===e}catch{return!1}}(e.key))&&p(e.code,e.message,e.hint,e.level));n.ended&&u(n.ended)}),t.lost.connect((e,t)=>{"renewed"!==t||l||a||(l=!0,async function(e){let{button:t}=await (0,n.showDialog)({title:e.__("Your server was started anew"),body:e.__("This page is of the server before it. Your files are kept; what is not saved can be copied from the page before you load it anew."),buttons:[n.Dialog.cancelButton({label:e.__("Stay on this page")}),n.Dialog.okButton({label:e.__("Load the page anew")})]});t.accept&&window.location.reload()}(s)),"refused"===t&&u({id:"refused",time:"",level:"error",code:"refused",message:s.__("Your server no longer accepts this page: your log-in or your account has ended."),hint:s.__("Your files are kept. What is not saved can be copied from this page. Log in again on the start page.")})})}},ey={id:"@cubehub/account:reasons",description:"Says why a kernel was stopped, in place of a guess that it died.",autoStart:!0,requires:[j,i.INotebookTracker],optional:[r.ITranslator],activate:(e,t,o,i)=>{let s=i??r.nullTranslator,[a,l]=[s.load("cubehub_account"),s.load("jupyterlab")];o.widgetAdded.connect((e,o)=>{o.sessionContext.statusChanged.connect((e,i)=>{"autorestarting"===i&&(async e=>{var o,i,s;let r=e.sessionContext.session,h=r?.kernel?.id;if(!r||!h)return;let u=(o=(await t.ask()).notices,i=t.shown,o.filter(e=>e.kernel===h&&!i.has(R(e))).pop());if(u){let e;t.noteSeen(R(u)),(s=r.path,e=l.__("The kernel for %1 appears to have died. It will restart automatically.",s),n.Dialog.tracker.find(({node:t})=>!!(t.ariaLabel?.includes(e)||t.textContent?.includes(e))))?.reject(),await async function(e,t){await (0,n.showDialog)({title:t.__("Out of memory"),body:W(e),buttons:[n.Dialog.okButton({label:t.__("Ok")})]})}(u,a)}})(o).catch(()=>void 0)})})}},ew="cubehub-account:said",ev=[{id:"@cubehub/account:status",description:"Asks the server for its use, limits and notices.",autoStart:!0,provides:j,activate:e=>new E(e.serviceManager.serverSettings)},ef,eg,ey,ed]},989(e,t,o){var n=o(601),i=o.n(n),s=o(314),r=o.n(s),a=o(417),l=o.n(a),h=new URL(o(458),o.b),u=r()(i()),c=l()(h);u.push([e.id,`.cubehub-home {
  container-type: inline-size;
  box-sizing: border-box;
  min-inline-size: 220px;
  /* below, room to scroll the last button out from under a notice in the corner */
  padding: 8px 12px 160px;
  overflow: hidden auto;
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  font-size: var(--jp-ui-font-size1);
  line-height: 1.5;
}

.cubehub-home-icon {
  background-color: var(--jp-ui-font-color1);
  mask: url(${c})
    center / 16px no-repeat;
}

.cubehub-home [hidden] {
  display: none;
}

.cubehub-home p {
  margin: 4px 0;
}

.cubehub-home h2,
.cubehub-home h3 {
  margin: 0;
  font-size: var(--jp-ui-font-size2);
  font-weight: 600;
}

.cubehub-home h3 {
  margin: 20px 0 4px;
  font-size: var(--jp-ui-font-size1);
}

.cubehub-home-head {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  justify-content: space-between;
  gap: 4px 12px;
}

.cubehub-home-name {
  overflow-wrap: anywhere;
}

/* what goes on is seen wherever in the panel it was begun */
.cubehub-home-state {
  position: sticky;
  z-index: 2;
  inset-block-start: -8px;
  padding: 4px 8px;
  border-inline-start: 4px solid var(--jp-info-color1);
  background: var(--jp-layout-color2);
  overflow-wrap: anywhere;
}

.cubehub-home-state:empty {
  display: none;
}

.cubehub-home-about,
.cubehub-home-nothing,
.cubehub-home-code {
  color: var(--jp-ui-font-color1);
  font-size: var(--jp-ui-font-size0);
}

.cubehub-home-code {
  font-family: var(--jp-code-font-family);
}

.cubehub-home-button {
  padding: 3px 10px;
  border: 1px solid var(--jp-ui-font-color2);
  border-radius: 2px;
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  font: inherit;
  cursor: pointer;
}

.cubehub-home-button:hover {
  background: var(--jp-layout-color2);
}

.cubehub-home-button[aria-disabled='true'] {
  cursor: default;
}

.cubehub-home-item[aria-busy='true'] .cubehub-home-button {
  opacity: 0.6;
  cursor: progress;
}

.cubehub-home-link {
  padding: 0;
  border: none;
  background: none;
  color: var(--jp-content-link-color);
  font: inherit;
  text-align: start;
  text-decoration: underline;
  cursor: pointer;
}

.cubehub-home-link:hover {
  background: none;
}

.cubehub-home :focus-visible,
.cubehub-home-link:focus-visible {
  outline: 2px solid var(--jp-brand-color1);
  outline-offset: 1px;
}

.cubehub-home-buttons {
  display: flex;
  flex-wrap: wrap;
  gap: 6px;
  margin: 4px 0;
}

.cubehub-home-trouble {
  margin: 8px 0;
  padding: 4px 10px;
  border: 1px solid var(--jp-border-color1);
  border-inline-start: 4px solid var(--jp-error-color1);
  overflow-wrap: anywhere;
}

.cubehub-home-trouble[data-level='info'] {
  border-inline-start-color: var(--jp-info-color1);
}

.cubehub-home-bar {
  block-size: 12px;
  border: 1px solid var(--jp-ui-font-color2);
  border-radius: 2px;
  overflow: hidden;
}

.cubehub-home-bar > span {
  display: block;
  block-size: 100%;
  background: var(--jp-success-color1, #2e7d32);
}

.cubehub-home-bar[data-level='high'] > span {
  background: var(--jp-warn-color1, #f57c00);
}

.cubehub-home-bar[data-level='full'] > span {
  background: var(--jp-error-color1, #c62828);
}

.cubehub-home-bar[data-level='unknown'] {
  display: none;
}

.cubehub-home-use {
  font-variant-numeric: tabular-nums;
}

.cubehub-home-bar[data-level='full'] + .cubehub-home-use {
  font-weight: 600;
}

.cubehub-home-way {
  display: flex;
  flex-wrap: wrap;
  margin: 0 0 6px;
  padding: 0;
  list-style: none;
}

.cubehub-home-way > li + li::before {
  content: '/';
  padding: 0 4px;
}

.cubehub-home-way > li:last-child > .cubehub-home-name {
  padding-inline-end: 4px;
  font-weight: 600;
}

.cubehub-home-area {
  position: relative;
  block-size: 240px;
  background: var(--jp-layout-color2);
}

.cubehub-home .cubehub-home-tile {
  position: absolute;
  box-sizing: border-box;
  padding: 2px 4px;
  overflow: hidden;
  border: 1px solid var(--jp-layout-color1);
  border-radius: 0;
  background: color-mix(in srgb, var(--jp-brand-color1) var(--cubehub-share), var(--jp-layout-color2));
  color: var(--jp-ui-font-color0);
  font-size: var(--jp-ui-font-size0);
  line-height: 1.35;
  text-align: start;
  display: flex;
  flex-direction: column;
  justify-content: flex-start;
  align-items: stretch;
}

.cubehub-home .cubehub-home-tile > * {
  display: block;
  overflow: hidden;
  text-overflow: ellipsis;
  white-space: nowrap;
}

.cubehub-home .cubehub-home-tile:hover {
  border-color: var(--jp-ui-font-color1);
}

.cubehub-home .cubehub-home-tile:focus-visible {
  z-index: 1;
  outline: 3px solid var(--jp-ui-font-color0);
  outline-offset: -3px;
}

.cubehub-home .cubehub-home-tile[data-kind='files'],
.cubehub-home .cubehub-home-tile[data-kind='rest'] {
  background: var(--jp-layout-color2);
  border: 1px dashed var(--jp-ui-font-color2);
}

.cubehub-home .cubehub-home-tile[data-kind='file'] {
  border-style: dotted;
  border-color: var(--jp-ui-font-color2);
}

.cubehub-home-tile[data-room='none'] > *,
.cubehub-home-tile[data-room='name'] > .cubehub-home-size {
  visibility: hidden;
}

.cubehub-home-scroll {
  margin: 8px 0;
  max-block-size: 260px;
  overflow: auto;
}

.cubehub-home-table {
  inline-size: 100%;
  border-collapse: collapse;
  font-size: var(--jp-ui-font-size1);
}

.cubehub-home-table th,
.cubehub-home-table td {
  padding: 2px 4px;
  border-block-end: 1px solid var(--jp-border-color2);
  font-weight: normal;
  text-align: start;
  vertical-align: top;
}

.cubehub-home-table thead th {
  font-weight: 600;
}

.cubehub-home-table .cubehub-home-number {
  text-align: end;
  font-variant-numeric: tabular-nums;
  white-space: nowrap;
}

.cubehub-home-list {
  margin: 0;
  padding: 0;
  list-style: none;
}

.cubehub-home-item {
  padding: 6px 0;
  border-block-end: 1px solid var(--jp-border-color2);
}

.cubehub-home-form {
  display: flex;
  flex-direction: column;
  gap: 4px;
  margin: 6px 0;
  padding: 8px;
  border: 1px solid var(--jp-border-color1);
}

.cubehub-home .cubehub-home-wrong {
  margin: 0 0 6px;
  padding-inline-start: 8px;
  border-inline-start: 4px solid var(--jp-error-color1);
  overflow-wrap: anywhere;
}

.cubehub-home .cubehub-home-wrong:empty {
  display: none;
}

.cubehub-home-form input[aria-invalid='true'] {
  border-color: var(--jp-error-color1);
}

.cubehub-home-form input,
.cubehub-home-form select {
  box-sizing: border-box;
  inline-size: 100%;
  padding: 3px;
  border: 1px solid var(--jp-ui-font-color2);
  background: var(--jp-layout-color0);
  color: var(--jp-ui-font-color0);
  font: inherit;
}

/* wide: more room for the map */
@container (min-inline-size: 640px) {
  .cubehub-home-area {
    block-size: 320px;
  }
}

/* narrow: the day of the newest file has no room */
@container (max-inline-size: 360px) {
  .cubehub-home-table :is(th, td):nth-child(4) {
    display: none;
  }
}
`,""]),o.d(t,{},{A:u})},646(e,t,o){var n=o(601),i=o.n(n),s=o(314),r=(o.n(s))()(i());r.push([e.id,`.cubehub-memory {
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
`,""]),o.d(t,{},{A:r})},314(e){e.exports=function(e){var t=[];return t.toString=function(){return this.map(function(t){var o="",n=void 0!==t[5];return t[4]&&(o+="@supports (".concat(t[4],") {")),t[2]&&(o+="@media ".concat(t[2]," {")),n&&(o+="@layer".concat(t[5].length>0?" ".concat(t[5]):""," {")),o+=e(t),n&&(o+="}"),t[2]&&(o+="}"),t[4]&&(o+="}"),o}).join("")},t.i=function(e,o,n,i,s){"string"==typeof e&&(e=[[null,e,void 0]]);var r={};if(n)for(var a=0;a<this.length;a++){var l=this[a][0];null!=l&&(r[l]=!0)}for(var h=0;h<e.length;h++){var u=[].concat(e[h]);n&&r[u[0]]||(void 0!==s&&(void 0===u[5]||(u[1]="@layer".concat(u[5].length>0?" ".concat(u[5]):""," {").concat(u[1],"}")),u[5]=s),o&&(u[2]&&(u[1]="@media ".concat(u[2]," {").concat(u[1],"}")),u[2]=o),i&&(u[4]?(u[1]="@supports (".concat(u[4],") {").concat(u[1],"}"),u[4]=i):u[4]="".concat(i)),t.push(u))}},t}},417(e){e.exports=function(e,t){return(t||(t={}),e&&(e=String(e.__esModule?e.default:e),/^['"].*['"]$/.test(e)&&(e=e.slice(1,-1)),t.hash&&(e+=t.hash),/["'() \t\n]|(%20)/.test(e)||t.needQuotes))?'"'.concat(e.replace(/"/g,'\\"').replace(/\n/g,"\\n"),'"'):e}},601(e){e.exports=function(e){return e[1]}},665(e,t,o){o.r(t);var n=o(72),i=o.n(n),s=o(825),r=o.n(s),a=o(659),l=o.n(a),h=o(56),u=o.n(h),c=o(540),d=o.n(c),b=o(113),p=o.n(b),m=o(646),f={};f.styleTagTransform=p(),f.setAttributes=u(),f.insert=l().bind(null,"head"),f.domAPI=r(),f.insertStyleElement=d(),i()(m.A,f);let g=m.A&&m.A.locals?m.A.locals:void 0;o.d(t,{},{default:g})},72(e){var t=[];function o(e){for(var o=-1,n=0;n<t.length;n++)if(t[n].identifier===e){o=n;break}return o}function n(e,n){for(var i={},s=[],r=0;r<e.length;r++){var a=e[r],l=n.base?a[0]+n.base:a[0],h=i[l]||0,u="".concat(l," ").concat(h);i[l]=h+1;var c=o(u),d={css:a[1],media:a[2],sourceMap:a[3],supports:a[4],layer:a[5]};if(-1!==c)t[c].references++,t[c].updater(d);else{var b=function(e,t){var o=t.domAPI(t);return o.update(e),function(t){t?(t.css!==e.css||t.media!==e.media||t.sourceMap!==e.sourceMap||t.supports!==e.supports||t.layer!==e.layer)&&o.update(e=t):o.remove()}}(d,n);n.byIndex=r,t.splice(r,0,{identifier:u,updater:b,references:1})}s.push(u)}return s}e.exports=function(e,i){var s=n(e=e||[],i=i||{});return function(e){e=e||[];for(var r=0;r<s.length;r++){var a=o(s[r]);t[a].references--}for(var l=n(e,i),h=0;h<s.length;h++){var u=o(s[h]);0===t[u].references&&(t[u].updater(),t.splice(u,1))}s=l}}},659(e){var t={};e.exports=function(e,o){var n=function(e){if(void 0===t[e]){var o=document.querySelector(e);if(window.HTMLIFrameElement&&o instanceof window.HTMLIFrameElement)try{o=o.contentDocument.head}catch(e){o=null}t[e]=o}return t[e]}(e);if(!n)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");n.appendChild(o)}},540(e){e.exports=function(e){var t=document.createElement("style");return e.setAttributes(t,e.attributes),e.insert(t,e.options),t}},56(e,t,o){e.exports=function(e){var t=o.nc;t&&e.setAttribute("nonce",t)}},825(e){e.exports=function(e){if("u"<typeof document)return{update:function(){},remove:function(){}};var t=e.insertStyleElement(e);return{update:function(o){var n,i,s;n="",o.supports&&(n+="@supports (".concat(o.supports,") {")),o.media&&(n+="@media ".concat(o.media," {")),(i=void 0!==o.layer)&&(n+="@layer".concat(o.layer.length>0?" ".concat(o.layer):""," {")),n+=o.css,i&&(n+="}"),o.media&&(n+="}"),o.supports&&(n+="}"),(s=o.sourceMap)&&"u">typeof btoa&&(n+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(s))))," */")),e.styleTagTransform(n,t,e.options)},remove:function(){var e;null===(e=t).parentNode||e.parentNode.removeChild(e)}}}},113(e){e.exports=function(e,t){if(t.styleSheet)t.styleSheet.cssText=e;else{for(;t.firstChild;)t.removeChild(t.firstChild);t.appendChild(document.createTextNode(e))}}},458(e){e.exports="data:image/svg+xml,%3Csvg xmlns=%27http://www.w3.org/2000/svg%27 viewBox=%270 0 16 16%27%3E%3Cpath d=%27M1 1h8v14H1zM10 1h5v8h-5zM10 10h5v5h-5z%27/%3E%3C/svg%3E"}}]);