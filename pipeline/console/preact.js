// The one place that knows where Preact and htm are. No import map: inline ones are scripts, which the policy refuses.

import htm from "./vendor/htm.module.js";
import { Component, createRef, h, render } from "./vendor/preact.module.js";

export const html = htm.bind(h);
export { Component, createRef, render };
