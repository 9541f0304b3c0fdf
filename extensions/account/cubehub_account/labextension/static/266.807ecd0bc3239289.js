"use strict";(self.rspackChunk_cubehub_account=self.rspackChunk_cubehub_account||[]).push([[266],{646(e,r,n){var t=n(601),o=n.n(t),a=n(314),i=(n.n(a))()(o());i.push([e.id,`.cubehub-memory {
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

.cubehub-memory-button:hover {
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
`,""]),n.d(r,{},{A:i})},314(e){e.exports=function(e){var r=[];return r.toString=function(){return this.map(function(r){var n="",t=void 0!==r[5];return r[4]&&(n+="@supports (".concat(r[4],") {")),r[2]&&(n+="@media ".concat(r[2]," {")),t&&(n+="@layer".concat(r[5].length>0?" ".concat(r[5]):""," {")),n+=e(r),t&&(n+="}"),r[2]&&(n+="}"),r[4]&&(n+="}"),n}).join("")},r.i=function(e,n,t,o,a){"string"==typeof e&&(e=[[null,e,void 0]]);var i={};if(t)for(var c=0;c<this.length;c++){var u=this[c][0];null!=u&&(i[u]=!0)}for(var s=0;s<e.length;s++){var l=[].concat(e[s]);t&&i[l[0]]||(void 0!==a&&(void 0===l[5]||(l[1]="@layer".concat(l[5].length>0?" ".concat(l[5]):""," {").concat(l[1],"}")),l[5]=a),n&&(l[2]&&(l[1]="@media ".concat(l[2]," {").concat(l[1],"}")),l[2]=n),o&&(l[4]?(l[1]="@supports (".concat(l[4],") {").concat(l[1],"}"),l[4]=o):l[4]="".concat(o)),r.push(l))}},r}},601(e){e.exports=function(e){return e[1]}},665(e,r,n){n.r(r);var t=n(72),o=n.n(t),a=n(825),i=n.n(a),c=n(659),u=n.n(c),s=n(56),l=n.n(s),p=n(540),d=n.n(p),b=n(113),m=n.n(b),f=n(646),h={};h.styleTagTransform=m(),h.setAttributes=l(),h.insert=u().bind(null,"head"),h.domAPI=i(),h.insertStyleElement=d(),o()(f.A,h);let v=f.A&&f.A.locals?f.A.locals:void 0;n.d(r,{},{default:v})},72(e){var r=[];function n(e){for(var n=-1,t=0;t<r.length;t++)if(r[t].identifier===e){n=t;break}return n}function t(e,t){for(var o={},a=[],i=0;i<e.length;i++){var c=e[i],u=t.base?c[0]+t.base:c[0],s=o[u]||0,l="".concat(u," ").concat(s);o[u]=s+1;var p=n(l),d={css:c[1],media:c[2],sourceMap:c[3],supports:c[4],layer:c[5]};if(-1!==p)r[p].references++,r[p].updater(d);else{var b=function(e,r){var n=r.domAPI(r);return n.update(e),function(r){r?(r.css!==e.css||r.media!==e.media||r.sourceMap!==e.sourceMap||r.supports!==e.supports||r.layer!==e.layer)&&n.update(e=r):n.remove()}}(d,t);t.byIndex=i,r.splice(i,0,{identifier:l,updater:b,references:1})}a.push(l)}return a}e.exports=function(e,o){var a=t(e=e||[],o=o||{});return function(e){e=e||[];for(var i=0;i<a.length;i++){var c=n(a[i]);r[c].references--}for(var u=t(e,o),s=0;s<a.length;s++){var l=n(a[s]);0===r[l].references&&(r[l].updater(),r.splice(l,1))}a=u}}},659(e){var r={};e.exports=function(e,n){var t=function(e){if(void 0===r[e]){var n=document.querySelector(e);if(window.HTMLIFrameElement&&n instanceof window.HTMLIFrameElement)try{n=n.contentDocument.head}catch(e){n=null}r[e]=n}return r[e]}(e);if(!t)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");t.appendChild(n)}},540(e){e.exports=function(e){var r=document.createElement("style");return e.setAttributes(r,e.attributes),e.insert(r,e.options),r}},56(e,r,n){e.exports=function(e){var r=n.nc;r&&e.setAttribute("nonce",r)}},825(e){e.exports=function(e){if("u"<typeof document)return{update:function(){},remove:function(){}};var r=e.insertStyleElement(e);return{update:function(n){var t,o,a;t="",n.supports&&(t+="@supports (".concat(n.supports,") {")),n.media&&(t+="@media ".concat(n.media," {")),(o=void 0!==n.layer)&&(t+="@layer".concat(n.layer.length>0?" ".concat(n.layer):""," {")),t+=n.css,o&&(t+="}"),n.media&&(t+="}"),n.supports&&(t+="}"),(a=n.sourceMap)&&"u">typeof btoa&&(t+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(a))))," */")),e.styleTagTransform(t,r,e.options)},remove:function(){var e;null===(e=r).parentNode||e.parentNode.removeChild(e)}}}},113(e){e.exports=function(e,r){if(r.styleSheet)r.styleSheet.cssText=e;else{for(;r.firstChild;)r.removeChild(r.firstChild);r.appendChild(document.createTextNode(e))}}}}]);