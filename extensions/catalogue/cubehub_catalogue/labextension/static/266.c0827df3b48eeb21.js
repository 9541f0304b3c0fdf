"use strict";(self.rspackChunk_cubehub_catalogue=self.rspackChunk_cubehub_catalogue||[]).push([[266],{4096(o,e,r){var t=r(1601),a=r.n(t),n=r(6314),i=(r.n(n))()(a());i.push([o.id,`:root,
:host {
  --ol-background-color: white;
  --ol-accent-background-color: #F5F5F5;
  --ol-subtle-background-color: rgba(128, 128, 128, 0.25);
  --ol-partial-background-color: rgba(255, 255, 255, 0.75);
  --ol-foreground-color: #333333;
  --ol-subtle-foreground-color: #666666;
  --ol-brand-color: #00AAFF;
}

.ol-box {
  box-sizing: border-box;
  border-radius: 2px;
  border: 1.5px solid var(--ol-background-color);
  background-color: var(--ol-partial-background-color);
}

.ol-mouse-position {
  top: 8px;
  right: 8px;
  position: absolute;
}

.ol-scale-line {
  background: var(--ol-partial-background-color);
  border-radius: 4px;
  bottom: 8px;
  left: 8px;
  padding: 2px;
  position: absolute;
}

.ol-scale-line-inner {
  border: 1px solid var(--ol-subtle-foreground-color);
  border-top: none;
  color: var(--ol-foreground-color);
  font-size: 10px;
  text-align: center;
  margin: 1px;
  will-change: contents, width;
  transition: all 0.25s;
}

.ol-scale-bar {
  position: absolute;
  bottom: 8px;
  left: 8px;
}

.ol-scale-bar-inner {
  display: flex;
}

.ol-scale-step-marker {
  width: 1px;
  height: 15px;
  background-color: var(--ol-foreground-color);
  float: right;
  z-index: 10;
}

.ol-scale-step-text {
  position: absolute;
  bottom: -5px;
  font-size: 10px;
  z-index: 11;
  color: var(--ol-foreground-color);
  text-shadow: -1.5px 0 var(--ol-partial-background-color), 0 1.5px var(--ol-partial-background-color), 1.5px 0 var(--ol-partial-background-color), 0 -1.5px var(--ol-partial-background-color);
}

.ol-scale-text {
  position: absolute;
  font-size: 12px;
  text-align: center;
  bottom: 25px;
  color: var(--ol-foreground-color);
  text-shadow: -1.5px 0 var(--ol-partial-background-color), 0 1.5px var(--ol-partial-background-color), 1.5px 0 var(--ol-partial-background-color), 0 -1.5px var(--ol-partial-background-color);
}

.ol-scale-singlebar {
  position: relative;
  height: 10px;
  z-index: 9;
  box-sizing: border-box;
  border: 1px solid var(--ol-foreground-color);
}

.ol-scale-singlebar-even {
  background-color: var(--ol-subtle-foreground-color);
}

.ol-scale-singlebar-odd {
  background-color: var(--ol-background-color);
}

.ol-unsupported {
  display: none;
}

.ol-viewport,
.ol-unselectable {
  -webkit-touch-callout: none;
  -webkit-user-select: none;
  -moz-user-select: none;
  user-select: none;
  -webkit-tap-highlight-color: transparent;
}

.ol-viewport canvas {
  all: unset;
  overflow: hidden;
}

.ol-viewport {
  touch-action: pan-x pan-y;
}

.ol-selectable {
  -webkit-touch-callout: default;
  -webkit-user-select: text;
  -moz-user-select: text;
  user-select: text;
}

.ol-grabbing {
  cursor: -webkit-grabbing;
  cursor: -moz-grabbing;
  cursor: grabbing;
}

.ol-grab {
  cursor: move;
  cursor: -webkit-grab;
  cursor: -moz-grab;
  cursor: grab;
}

.ol-control {
  position: absolute;
  background-color: var(--ol-subtle-background-color);
  border-radius: 4px;
}

.ol-zoom {
  top: .5em;
  left: .5em;
}

.ol-rotate {
  top: .5em;
  right: .5em;
  transition: opacity .25s linear, visibility 0s linear;
}

.ol-rotate.ol-hidden {
  opacity: 0;
  visibility: hidden;
  transition: opacity .25s linear, visibility 0s linear .25s;
}

.ol-zoom-extent {
  top: 4.643em;
  left: .5em;
}

.ol-full-screen {
  right: .5em;
  top: .5em;
}

.ol-control button {
  display: block;
  margin: 1px;
  padding: 0;
  color: var(--ol-subtle-foreground-color);
  font-weight: bold;
  text-decoration: none;
  font-size: inherit;
  text-align: center;
  height: 1.375em;
  width: 1.375em;
  line-height: .4em;
  background-color: var(--ol-background-color);
  border: none;
  border-radius: 2px;
}

.ol-control button::-moz-focus-inner {
  border: none;
  padding: 0;
}

.ol-zoom-extent button {
  line-height: 1.4em;
}

.ol-compass {
  display: block;
  font-weight: normal;
  will-change: transform;
}

.ol-touch .ol-control button {
  font-size: 1.5em;
}

.ol-touch .ol-zoom-extent {
  top: 5.5em;
}

.ol-control button:hover,
.ol-control button:focus {
  text-decoration: none;
  outline: 1px solid var(--ol-subtle-foreground-color);
  color: var(--ol-foreground-color);
}

.ol-zoom .ol-zoom-in {
  border-radius: 2px 2px 0 0;
}

.ol-zoom .ol-zoom-out {
  border-radius: 0 0 2px 2px;
}

.ol-attribution {
  text-align: right;
  bottom: .5em;
  right: .5em;
  max-width: calc(100% - 1.3em);
  display: flex;
  flex-flow: row-reverse;
  align-items: center;
}

.ol-attribution a {
  color: var(--ol-subtle-foreground-color);
  text-decoration: none;
}

.ol-attribution ul {
  margin: 0;
  padding: 1px .5em;
  color: var(--ol-foreground-color);
  text-shadow: 0 0 2px var(--ol-background-color);
  font-size: 12px;
}

.ol-attribution li {
  display: inline;
  list-style: none;
}

.ol-attribution li:not(:last-child):after {
  content: " ";
}

.ol-attribution img {
  max-height: 2em;
  max-width: inherit;
  vertical-align: middle;
}

.ol-attribution button {
  flex-shrink: 0;
}

.ol-attribution.ol-collapsed ul {
  display: none;
}

.ol-attribution:not(.ol-collapsed) {
  background: var(--ol-partial-background-color);
}

.ol-attribution.ol-uncollapsible {
  bottom: 0;
  right: 0;
  border-radius: 4px 0 0;
}

.ol-attribution.ol-uncollapsible img {
  margin-top: -.2em;
  max-height: 1.6em;
}

.ol-attribution.ol-uncollapsible button {
  display: none;
}

.ol-zoomslider {
  top: 4.5em;
  left: .5em;
  height: 200px;
}

.ol-zoomslider button {
  position: relative;
  height: 10px;
}

.ol-touch .ol-zoomslider {
  top: 5.5em;
}

.ol-overviewmap {
  left: 0.5em;
  bottom: 0.5em;
}

.ol-overviewmap.ol-uncollapsible {
  bottom: 0;
  left: 0;
  border-radius: 0 4px 0 0;
}

.ol-overviewmap .ol-overviewmap-map,
.ol-overviewmap button {
  display: block;
}

.ol-overviewmap .ol-overviewmap-map {
  border: 1px solid var(--ol-subtle-foreground-color);
  height: 150px;
  width: 150px;
}

.ol-overviewmap:not(.ol-collapsed) button {
  bottom: 0;
  left: 0;
  position: absolute;
}

.ol-overviewmap.ol-collapsed .ol-overviewmap-map,
.ol-overviewmap.ol-uncollapsible button {
  display: none;
}

.ol-overviewmap:not(.ol-collapsed) {
  background: var(--ol-subtle-background-color);
}

.ol-overviewmap-box {
  border: 1.5px dotted var(--ol-subtle-foreground-color);
}

.ol-overviewmap .ol-overviewmap-box:hover {
  cursor: move;
}

.ol-overviewmap .ol-viewport:hover {
  cursor: pointer;
}
`,""]),r.d(e,{},{A:i})},2646(o,e,r){var t=r(1601),a=r.n(t),n=r(6314),i=r.n(n),l=r(4096),c=r(4417),u=r.n(c),b=new URL(r(2543),r.b),p=i()(a());p.i(l.A);var s=u()(b);p.push([o.id,`.cubehub-cat {
  container-type: inline-size;
  display: flex;
  flex-direction: column;
  min-inline-size: 240px;
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  font-size: var(--jp-ui-font-size1);
  line-height: 1.4;
}

.cubehub-cat-icon {
  background-color: var(--jp-ui-font-color1);
  mask: url(${s})
    center / 16px no-repeat;
}

.cubehub-cat [hidden] {
  display: none !important;
}

.cubehub-cat h3,
.cubehub-cat h4,
.cubehub-cat h5 {
  margin: 10px 0 4px;
  font-size: var(--jp-ui-font-size1);
  font-weight: 600;
  overflow-wrap: anywhere;
}

.cubehub-cat code {
  font-size: inherit;
  overflow-wrap: anywhere;
}

.cubehub-cat p {
  margin: 4px 0;
}

.cubehub-cat-tabs {
  display: flex;
  flex: none;
  flex-wrap: wrap;
  border-block-end: 1px solid var(--jp-border-color1);
}

.cubehub-cat-button.cubehub-cat-tab {
  flex: 1;
  padding: 6px 5px;
  border: 0;
  border-block-end: 3px solid transparent;
  border-radius: 0;
  background: none;
}

.cubehub-cat-tab {
  white-space: nowrap;
}

.cubehub-cat-tab[aria-selected='true'] {
  border-block-end-color: var(--jp-brand-color1);
  font-weight: 600;
}

.cubehub-cat-page {
  flex: 1;
  min-block-size: 0;
  padding: 4px 10px 16px;
  overflow: hidden auto;
}

.cubehub-cat-fold {
  margin-block: 2px;
  border-block-end: 1px solid var(--jp-border-color2);
  padding-block: 2px 4px;
}

.cubehub-cat-fold .cubehub-cat-fold {
  margin-block-end: 0;
  border-block-end: 0;
  padding-block-end: 0;
}

.cubehub-cat-fold > summary {
  cursor: pointer;
  padding-block: 4px;
  font-weight: 600;
}

.cubehub-cat-set {
  margin-inline-start: 8px;
  color: var(--jp-ui-font-color2);
  font-weight: 400;
}

.cubehub-cat-map {
  position: relative;
  block-size: 220px;
  margin-block: 4px;
  border: 1px solid var(--jp-border-color1);
  background: var(--jp-layout-color0);
  overflow: hidden;
}

.cubehub-cat-map.cubehub-mod-drawing {
  cursor: crosshair;
}

.cubehub-cat-drag {
  border: 2px dotted var(--jp-brand-color1);
}

.cubehub-cat-place {
  display: flex;
  align-items: end;
  gap: 4px;
}

.cubehub-cat-place > :first-child {
  flex: 1;
}

.cubehub-cat-place > button {
  margin-block-end: 4px;
}

.cubehub-cat-map .ol-control button {
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
}

.cubehub-cat-buttons {
  display: flex;
  flex-wrap: wrap;
  gap: 4px;
  margin-block: 4px;
}

.cubehub-cat-button {
  min-block-size: 24px;
  padding: 2px 8px;
  border: 1px solid var(--jp-border-color1);
  border-radius: 3px;
  background: var(--jp-layout-color2);
  color: var(--jp-ui-font-color1);
  font: inherit;
  cursor: pointer;
}

.cubehub-cat-button:hover:not(:disabled) {
  background: var(--jp-layout-color3);
}

.cubehub-cat-button:disabled {
  opacity: 0.5;
  cursor: default;
}

.cubehub-cat-button.cubehub-mod-main {
  border-color: var(--jp-brand-color0);
  background: var(--jp-brand-color0);
  color: var(--jp-ui-inverse-font-color0);
}

.cubehub-cat-button.cubehub-mod-main:hover:not(:disabled) {
  background: var(--jp-brand-color0);
  text-decoration: underline;
}

.cubehub-cat-button.cubehub-mod-small {
  padding: 0 6px;
  font-size: var(--jp-ui-font-size0);
}

.cubehub-cat-button[aria-pressed='true'] {
  border-width: 2px;
  font-weight: 600;
}

.cubehub-cat :is(button, summary, input, select, textarea, a, [tabindex]):focus-visible {
  outline: 2px solid var(--jp-brand-color1);
  outline-offset: 1px;
}

.cubehub-cat-field {
  display: flex;
  flex: 1;
  flex-direction: column;
  min-inline-size: 0;
  margin-block: 4px;
}

.cubehub-cat-label {
  color: var(--jp-ui-font-color1);
  font-size: var(--jp-ui-font-size0);
}

.cubehub-cat-input {
  box-sizing: border-box;
  inline-size: 100%;
  min-inline-size: 0;
  padding: 3px 6px;
  border: 1px solid var(--jp-border-color1);
  border-radius: 3px;
  background: var(--jp-input-background, var(--jp-layout-color1));
  color: var(--jp-ui-font-color1);
  font: inherit;
}

textarea.cubehub-cat-input {
  font-family: var(--jp-code-font-family);
  resize: vertical;
}

.cubehub-cat-input[aria-invalid='true'] {
  border: 2px solid var(--jp-error-color1);
}

.cubehub-cat-numbers {
  display: grid;
  grid-template-columns: 1fr 1fr;
  gap: 0 8px;
}

.cubehub-cat-numbers > button {
  grid-column: 1 / -1;
  justify-self: start;
}

.cubehub-cat-range {
  display: flex;
  align-items: center;
  gap: 8px;
}

.cubehub-cat-choices {
  margin: 0;
  padding: 0;
  list-style: none;
}

.cubehub-cat-choices > li {
  padding-block: 3px;
  overflow-wrap: anywhere;
}

.cubehub-cat-fold > .cubehub-cat-choices,
.cubehub-cat-bands {
  max-block-size: 260px;
  overflow-y: auto;
}

/* a thing and what is done with it */
.cubehub-cat-line {
  display: flex;
  gap: 8px;
  align-items: flex-start;
  justify-content: space-between;
}

.cubehub-cat-line > :first-child {
  flex: 1;
  min-inline-size: 0;
}

.cubehub-cat-line > button {
  flex: none;
}

.cubehub-cat-check {
  display: block;
  padding-inline-start: 22px;
}

.cubehub-cat-check > input {
  margin: 0 6px 0 -22px;
  inline-size: 16px;
  block-size: 16px;
  vertical-align: text-bottom;
}

.cubehub-cat-facts,
.cubehub-cat-hint {
  display: block;
  color: var(--jp-ui-font-color2);
  font-size: var(--jp-ui-font-size0);
  overflow-wrap: anywhere;
}

/* theirs is a share of the text around them, which is small already */
.cubehub-cat-hint > .cubehub-cat-facts,
.cubehub-cat-facts > .cubehub-cat-facts {
  font-size: inherit;
}

.cubehub-cat-facts.cubehub-mod-warning {
  padding-inline-start: 6px;
  border-inline-start: 3px solid var(--jp-warn-color0, #e65100);
  color: var(--jp-ui-font-color1);
}

.cubehub-cat-notice {
  flex: none;
  max-block-size: 40%;
  padding-inline: 10px;
  overflow-y: auto;
}

.cubehub-cat-trouble:not(:empty) {
  padding: 4px 8px;
  border-inline-start: 4px solid var(--jp-error-color1);
  background: var(--jp-layout-color2);
  color: var(--jp-ui-font-color1);
  overflow-wrap: anywhere;
}

.cubehub-cat-failures {
  padding-inline-start: 8px;
  border-block-end: 0;
  border-inline-start: 4px solid var(--jp-error-color1);
  background: var(--jp-layout-color2);
}

.cubehub-cat-failures > .cubehub-cat-trouble {
  padding-inline-start: 0;
  border-inline-start: 0;
}

.cubehub-cat-error-code {
  color: var(--jp-ui-font-color2);
  font-size: var(--jp-ui-font-size0);
  overflow-wrap: anywhere;
}

.cubehub-cat-bar,
.cubehub-cat-meter {
  inline-size: 100%;
  block-size: 8px;
}

.cubehub-cat-answers {
  margin-block: 6px;
}

.cubehub-cat-answers li > .cubehub-cat-name + .cubehub-cat-facts {
  display: inline;
}

.cubehub-cat-count {
  font-weight: 600;
}

.cubehub-cat-list {
  position: relative;
  block-size: 360px;
  margin-block: 4px;
  border: 1px solid var(--jp-border-color1);
  overflow: hidden auto;
  contain: strict;
}

.cubehub-cat-tall {
  position: relative;
}

.cubehub-cat-row {
  position: absolute;
  inset-inline: 0;
  box-sizing: border-box;
  display: flex;
  gap: 8px;
  block-size: 68px;
  padding: 4px 6px;
  border-block-end: 1px solid var(--jp-border-color2);
  border-inline-start: 4px solid transparent;
  cursor: default;
  contain: strict;
}

.cubehub-cat-row.cubehub-mod-active {
  border-inline-start-color: var(--jp-warn-color0, #e65100);
  background: var(--jp-layout-color2);
}

.cubehub-cat-box {
  flex: none;
  align-self: center;
  inline-size: 16px;
  block-size: 16px;
  border: 1px solid var(--jp-ui-font-color2);
  border-radius: 3px;
  text-align: center;
  line-height: 15px;
  cursor: pointer;
}

.cubehub-cat-row[aria-selected='true'] .cubehub-cat-box::after {
  content: '✓';
  font-weight: 700;
}

.cubehub-cat-row[aria-selected='true'] .cubehub-cat-title {
  font-weight: 600;
}

.cubehub-cat-picture {
  flex: none;
  inline-size: 58px;
  block-size: 58px;
  background: var(--jp-layout-color2);
}

.cubehub-cat-picture.cubehub-mod-none {
  border: 1px dashed var(--jp-border-color2);
  background: none;
  box-sizing: border-box;
}

.cubehub-cat-picture > img {
  inline-size: 100%;
  block-size: 100%;
  object-fit: cover;
}

.cubehub-cat-words {
  display: flex;
  flex: 1;
  flex-direction: column;
  min-inline-size: 0;
}

.cubehub-cat-words > .cubehub-cat-title {
  display: -webkit-box;
  -webkit-box-orient: vertical;
  -webkit-line-clamp: 2;
  line-height: 1.2;
  overflow-wrap: anywhere;
  white-space: normal;
}

.cubehub-cat-words > * {
  flex: none;
  overflow: hidden;
  text-overflow: ellipsis;
  white-space: nowrap;
}

.cubehub-cat-quicklook {
  display: block;
  max-inline-size: 100%;
  max-block-size: 320px;
  margin-block: 6px;
}

.cubehub-cat-facts-list {
  display: grid;
  grid-template-columns: minmax(80px, 2fr) 3fr;
  gap: 2px 8px;
  margin: 0;
  font-size: var(--jp-ui-font-size0);
}

.cubehub-cat-facts-list > dt {
  color: var(--jp-ui-font-color2);
  overflow-wrap: anywhere;
}

.cubehub-cat-facts-list > dd {
  margin: 0;
  overflow-wrap: anywhere;
}

.cubehub-cat-link {
  color: var(--jp-content-link-color);
  text-decoration: underline;
  overflow-wrap: anywhere;
}

/* below what scrolls, not over it */
.cubehub-cat-search,
.cubehub-mod-foot {
  display: flex;
  flex-direction: column;
  padding: 0;
  overflow: hidden;
}

.cubehub-cat-scrolled {
  flex: 1;
  min-block-size: 0;
  padding: 4px 10px 16px;
  overflow: hidden auto;
}

.cubehub-cat-code {
  flex: none;
  max-block-size: 50%;
  padding: 4px 10px 8px;
  border-block-start: 1px solid var(--jp-border-color1);
  overflow: hidden auto;
}

@container (min-width: 421px) {
  /* what a row says of itself is one line */
  .cubehub-cat-row .cubehub-cat-words {
    display: grid;
    grid-template-columns: auto minmax(0, 1fr);
    grid-auto-rows: max-content;
    align-content: start;
  }

  .cubehub-cat-words > .cubehub-cat-title,
  .cubehub-cat-words > .cubehub-cat-from {
    grid-column: 1 / -1;
  }

  .cubehub-cat-words > .cubehub-cat-rest::before {
    content: '\xb7';
    margin-inline: 4px;
  }
}

@container (max-width: 420px) {
  .cubehub-cat-row {
    padding-block: 2px;
  }

  .cubehub-cat-minute {
    display: none;
  }

  .cubehub-cat-words > .cubehub-cat-title {
    -webkit-line-clamp: 1;
  }
}

@container (max-width: 340px) {
  .cubehub-cat-row {
    gap: 6px;
  }

  .cubehub-cat-picture {
    inline-size: 44px;
    block-size: 44px;
    align-self: center;
  }

  .cubehub-cat-picture.cubehub-mod-none {
    display: none;
  }
}

@container (min-width: 760px) {
  .cubehub-cat-search {
    display: grid;
    grid-template-columns: minmax(320px, 1fr) minmax(380px, 1.3fr);
    grid-template-rows: minmax(0, 1fr) fit-content(50%);
    gap: 0 16px;
    padding: 4px 10px 0;
  }

  .cubehub-cat-search > .cubehub-cat-scrolled {
    display: contents;
    overflow: visible;
  }

  /* each by itself: results stay in sight beside a long form */
  .cubehub-cat-form,
  .cubehub-cat-right {
    min-block-size: 0;
    padding: 2px 2px 16px;
    overflow: hidden auto;
  }

  .cubehub-cat-form {
    grid-row: 1 / 3;
  }

  .cubehub-cat-search > .cubehub-cat-code {
    grid-column: 2;
    max-block-size: none;
    padding-inline: 2px;
  }

  .cubehub-cat-map {
    block-size: 360px;
  }

  .cubehub-cat-list {
    block-size: 520px;
  }
}
`,""]),r.d(e,{},{A:p})},6314(o){o.exports=function(o){var e=[];return e.toString=function(){return this.map(function(e){var r="",t=void 0!==e[5];return e[4]&&(r+="@supports (".concat(e[4],") {")),e[2]&&(r+="@media ".concat(e[2]," {")),t&&(r+="@layer".concat(e[5].length>0?" ".concat(e[5]):""," {")),r+=o(e),t&&(r+="}"),e[2]&&(r+="}"),e[4]&&(r+="}"),r}).join("")},e.i=function(o,r,t,a,n){"string"==typeof o&&(o=[[null,o,void 0]]);var i={};if(t)for(var l=0;l<this.length;l++){var c=this[l][0];null!=c&&(i[c]=!0)}for(var u=0;u<o.length;u++){var b=[].concat(o[u]);t&&i[b[0]]||(void 0!==n&&(void 0===b[5]||(b[1]="@layer".concat(b[5].length>0?" ".concat(b[5]):""," {").concat(b[1],"}")),b[5]=n),r&&(b[2]&&(b[1]="@media ".concat(b[2]," {").concat(b[1],"}")),b[2]=r),a&&(b[4]?(b[1]="@supports (".concat(b[4],") {").concat(b[1],"}"),b[4]=a):b[4]="".concat(a)),e.push(b))}},e}},4417(o){o.exports=function(o,e){return(e||(e={}),o&&(o=String(o.__esModule?o.default:o),/^['"].*['"]$/.test(o)&&(o=o.slice(1,-1)),e.hash&&(o+=e.hash),/["'() \t\n]|(%20)/.test(o)||e.needQuotes))?'"'.concat(o.replace(/"/g,'\\"').replace(/\n/g,"\\n"),'"'):o}},1601(o){o.exports=function(o){return o[1]}},8665(o,e,r){r.r(e);var t=r(5072),a=r.n(t),n=r(7825),i=r.n(n),l=r(7659),c=r.n(l),u=r(5056),b=r.n(u),p=r(540),s=r.n(p),d=r(1113),h=r.n(d),x=r(2646),f={};f.styleTagTransform=h(),f.setAttributes=b(),f.insert=c().bind(null,"head"),f.domAPI=i(),f.insertStyleElement=s(),a()(x.A,f);let g=x.A&&x.A.locals?x.A.locals:void 0;r.d(e,{},{default:g})},5072(o){var e=[];function r(o){for(var r=-1,t=0;t<e.length;t++)if(e[t].identifier===o){r=t;break}return r}function t(o,t){for(var a={},n=[],i=0;i<o.length;i++){var l=o[i],c=t.base?l[0]+t.base:l[0],u=a[c]||0,b="".concat(c," ").concat(u);a[c]=u+1;var p=r(b),s={css:l[1],media:l[2],sourceMap:l[3],supports:l[4],layer:l[5]};if(-1!==p)e[p].references++,e[p].updater(s);else{var d=function(o,e){var r=e.domAPI(e);return r.update(o),function(e){e?(e.css!==o.css||e.media!==o.media||e.sourceMap!==o.sourceMap||e.supports!==o.supports||e.layer!==o.layer)&&r.update(o=e):r.remove()}}(s,t);t.byIndex=i,e.splice(i,0,{identifier:b,updater:d,references:1})}n.push(b)}return n}o.exports=function(o,a){var n=t(o=o||[],a=a||{});return function(o){o=o||[];for(var i=0;i<n.length;i++){var l=r(n[i]);e[l].references--}for(var c=t(o,a),u=0;u<n.length;u++){var b=r(n[u]);0===e[b].references&&(e[b].updater(),e.splice(b,1))}n=c}}},7659(o){var e={};o.exports=function(o,r){var t=function(o){if(void 0===e[o]){var r=document.querySelector(o);if(window.HTMLIFrameElement&&r instanceof window.HTMLIFrameElement)try{r=r.contentDocument.head}catch(o){r=null}e[o]=r}return e[o]}(o);if(!t)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");t.appendChild(r)}},540(o){o.exports=function(o){var e=document.createElement("style");return o.setAttributes(e,o.attributes),o.insert(e,o.options),e}},5056(o,e,r){o.exports=function(o){var e=r.nc;e&&o.setAttribute("nonce",e)}},7825(o){o.exports=function(o){if("u"<typeof document)return{update:function(){},remove:function(){}};var e=o.insertStyleElement(o);return{update:function(r){var t,a,n;t="",r.supports&&(t+="@supports (".concat(r.supports,") {")),r.media&&(t+="@media ".concat(r.media," {")),(a=void 0!==r.layer)&&(t+="@layer".concat(r.layer.length>0?" ".concat(r.layer):""," {")),t+=r.css,a&&(t+="}"),r.media&&(t+="}"),r.supports&&(t+="}"),(n=r.sourceMap)&&"u">typeof btoa&&(t+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(n))))," */")),o.styleTagTransform(t,e,o.options)},remove:function(){var o;null===(o=e).parentNode||o.parentNode.removeChild(o)}}}},1113(o){o.exports=function(o,e){if(e.styleSheet)e.styleSheet.cssText=o;else{for(;e.firstChild;)e.removeChild(e.firstChild);e.appendChild(document.createTextNode(o))}}},2543(o){o.exports="data:image/svg+xml,%3Csvg xmlns=%27http://www.w3.org/2000/svg%27 viewBox=%270 0 16 16%27%3E%3Cpath d=%27M8 1a7 7 0 1 0 4.3 12.5l2 2 1.2-1.2-2-2A7 7 0 0 0 8 1zm0 1.6c.8 0 1.8 1.3 2.2 3.4H5.800C6.200 3.900 7.200 2.600 8 2.600zM5.100 3.400A8.500 8.500 0 0 0 4.200 6H2.900a5.500 5.500 0 0 1 2.200-2.600zm5.800 0A5.500 5.500 0 0 1 13.100 6h-1.300a8.500 8.500 0 0 0-.9-2.600zM2.500 7.500h1.500a13 13 0 0 0 .1 2.500H2.900a5.400 5.400 0 0 1-.4-2.500zm3.100 0h4.800a11 11 0 0 1-.1 2.500H5.700a11 11 0 0 1-.1-2.500zm6.400 0h1.500c0 .9-.1 1.700-.4 2.500h-1.200c.1-.8.200-1.600.1-2.500z%27/%3E%3C/svg%3E"}}]);