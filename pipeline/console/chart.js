// A line over the last three minutes. The canvas is nothing to who cannot see it, so that it is named by what it shows.

import { Component, createRef, html } from "./preact.js";
import uPlot from "./vendor/uPlot.esm.js";

// A name that changed with each second would be read out again and again where a reader follows changes.
const NAMED_MS = 10_000;
const HEIGHT = 88;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(width, said) {
  const axis = {
    stroke: colour("--muted"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [6, 6, 0, 0],
    scales: { x: { time: true }, y: { range: (_plot, _low, high) => [0, Math.max(high ?? 0, 1) * 1.1] } },
    axes: [
      { ...axis, grid: { show: false }, size: 20, space: 70, values: (_plot, all) => all.map(clockOf) },
      { ...axis, size: 50, space: 28, values: (_plot, all) => all.map(said) },
    ],
    series: [{}, { stroke: colour("--accent"), width: 1.5, fill: colour("--wash"), spanGaps: false, points: { show: false } }],
  };
}

const clockOf = (at) => new Date(at * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export class Chart extends Component {
  box = createRef();
  name = "";
  told = false;
  namedAt = -NAMED_MS;

  componentDidMount() {
    this.scheme = window.matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.draw);
    this.sizes = new ResizeObserver(() => this.plot?.setSize({ width: this.width(), height: HEIGHT }));
    this.sizes.observe(this.box.current);
    this.draw();
  }

  componentDidUpdate() {
    this.plot.setData(this.props.data);
  }

  componentWillUnmount() {
    this.scheme.removeEventListener("change", this.draw);
    this.sizes.disconnect();
    this.plot?.destroy();
  }

  // Colours are read once: another scheme is another drawing.
  draw = () => {
    this.plot?.destroy();
    this.plot = new uPlot(options(this.width(), this.props.said), this.props.data, this.box.current);
  };

  width() {
    return Math.max(this.box.current.clientWidth, 80);
  }

  describe() {
    const values = this.props.data[1].filter((value) => value !== null);
    this.told = values.length > 0;
    if (!this.told) return `${this.props.label}: nothing yet`;
    const { said, unit } = this.props;
    const told = (value) => `${said(value)} ${unit}`;
    const [least, most] = values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, 0]);
    return `${this.props.label}, last three minutes: now ${told(values.at(-1))}, least ${told(least)}, most ${told(most)}`;
  }

  render() {
    const now = performance.now();
    if (now - this.namedAt >= NAMED_MS || !this.told) {
      this.name = this.describe();
      this.namedAt = now;
    }
    return html`<div class="chart" role="img" aria-label=${this.name} ref=${this.box}></div>`;
  }
}
