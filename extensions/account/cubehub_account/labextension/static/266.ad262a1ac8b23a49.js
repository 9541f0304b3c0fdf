"use strict";(self.rspackChunk_cubehub_account=self.rspackChunk_cubehub_account||[]).push([[266],{646(e,r,o){var t=o(601),n=o.n(t),a=o(314),i=(o.n(a))()(n());i.push([e.id,`.cubehub-memory {
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
`,""]),o.d(r,{},{A:i})},314(e){e.exports=function(e){var r=[];return r.toString=function(){return this.map(function(r){var o="",t=void 0!==r[5];return r[4]&&(o+="@supports (".concat(r[4],") {")),r[2]&&(o+="@media ".concat(r[2]," {")),t&&(o+="@layer".concat(r[5].length>0?" ".concat(r[5]):""," {")),o+=e(r),t&&(o+="}"),r[2]&&(o+="}"),r[4]&&(o+="}"),o}).join("")},r.i=function(e,o,t,n,a){"string"==typeof e&&(e=[[null,e,void 0]]);var i={};if(t)for(var c=0;c<this.length;c++){var u=this[c][0];null!=u&&(i[u]=!0)}for(var s=0;s<e.length;s++){var l=[].concat(e[s]);t&&i[l[0]]||(void 0!==a&&(void 0===l[5]||(l[1]="@layer".concat(l[5].length>0?" ".concat(l[5]):""," {").concat(l[1],"}")),l[5]=a),o&&(l[2]&&(l[1]="@media ".concat(l[2]," {").concat(l[1],"}")),l[2]=o),n&&(l[4]?(l[1]="@supports (".concat(l[4],") {").concat(l[1],"}"),l[4]=n):l[4]="".concat(n)),r.push(l))}},r}},601(e){e.exports=function(e){return e[1]}},665(e,r,o){o.r(r);var t=o(72),n=o.n(t),a=o(825),i=o.n(a),c=o(659),u=o.n(c),s=o(56),l=o.n(s),p=o(540),d=o.n(p),b=o(113),m=o.n(b),f=o(646),h={};h.styleTagTransform=m(),h.setAttributes=l(),h.insert=u().bind(null,"head"),h.domAPI=i(),h.insertStyleElement=d(),n()(f.A,h);let v=f.A&&f.A.locals?f.A.locals:void 0;o.d(r,{},{default:v})},72(e){var r=[];function o(e){for(var o=-1,t=0;t<r.length;t++)if(r[t].identifier===e){o=t;break}return o}function t(e,t){for(var n={},a=[],i=0;i<e.length;i++){var c=e[i],u=t.base?c[0]+t.base:c[0],s=n[u]||0,l="".concat(u," ").concat(s);n[u]=s+1;var p=o(l),d={css:c[1],media:c[2],sourceMap:c[3],supports:c[4],layer:c[5]};if(-1!==p)r[p].references++,r[p].updater(d);else{var b=function(e,r){var o=r.domAPI(r);return o.update(e),function(r){r?(r.css!==e.css||r.media!==e.media||r.sourceMap!==e.sourceMap||r.supports!==e.supports||r.layer!==e.layer)&&o.update(e=r):o.remove()}}(d,t);t.byIndex=i,r.splice(i,0,{identifier:l,updater:b,references:1})}a.push(l)}return a}e.exports=function(e,n){var a=t(e=e||[],n=n||{});return function(e){e=e||[];for(var i=0;i<a.length;i++){var c=o(a[i]);r[c].references--}for(var u=t(e,n),s=0;s<a.length;s++){var l=o(a[s]);0===r[l].references&&(r[l].updater(),r.splice(l,1))}a=u}}},659(e){var r={};e.exports=function(e,o){var t=function(e){if(void 0===r[e]){var o=document.querySelector(e);if(window.HTMLIFrameElement&&o instanceof window.HTMLIFrameElement)try{o=o.contentDocument.head}catch(e){o=null}r[e]=o}return r[e]}(e);if(!t)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");t.appendChild(o)}},540(e){e.exports=function(e){var r=document.createElement("style");return e.setAttributes(r,e.attributes),e.insert(r,e.options),r}},56(e,r,o){e.exports=function(e){var r=o.nc;r&&e.setAttribute("nonce",r)}},825(e){e.exports=function(e){if("u"<typeof document)return{update:function(){},remove:function(){}};var r=e.insertStyleElement(e);return{update:function(o){var t,n,a;t="",o.supports&&(t+="@supports (".concat(o.supports,") {")),o.media&&(t+="@media ".concat(o.media," {")),(n=void 0!==o.layer)&&(t+="@layer".concat(o.layer.length>0?" ".concat(o.layer):""," {")),t+=o.css,n&&(t+="}"),o.media&&(t+="}"),o.supports&&(t+="}"),(a=o.sourceMap)&&"u">typeof btoa&&(t+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(a))))," */")),e.styleTagTransform(t,r,e.options)},remove:function(){var e;null===(e=r).parentNode||e.parentNode.removeChild(e)}}}},113(e){e.exports=function(e,r){if(r.styleSheet)r.styleSheet.cssText=e;else{for(;r.firstChild;)r.removeChild(r.firstChild);r.appendChild(document.createTextNode(e))}}}}]);