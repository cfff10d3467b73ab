// The entry: a token from the address or from before, then the page.

import { App } from "./app.js";
import { html, render } from "./preact.js";
import { takeFromAddress } from "./token.js";

takeFromAddress(window.location, window.history);
const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} />`, root);
