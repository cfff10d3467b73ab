// The page: logged in or not, the server there or away, and what it says.

import { Balances } from "./balances.js";
import { Flow } from "./flow.js";
import { History } from "./history.js";
import { DeadLetters, Partitions } from "./keeping.js";
import { Lanes } from "./lanes.js";
import { Login } from "./login.js";
import { Outcomes } from "./outcomes.js";
import { Mark } from "./panel.js";
import { Component, html } from "./preact.js";
import { Cache, Gateway, Replicas } from "./servers.js";
import { Strip } from "./strip.js";
import * as token from "./token.js";
import { Watching } from "./watching.js";
import * as words from "./words.js";

export class App extends Component {
  state = { token: token.kept(), refused: null, status: null, failure: null, since: null, announced: "" };
  history = new History();

  componentDidMount() {
    if (this.state.token) this.watch(this.state.token);
  }

  componentWillUnmount() {
    this.watching?.stop();
  }

  watch(given) {
    this.watching?.stop();
    this.watching = new Watching(given, this.hear);
    this.watching.start();
  }

  hear = (word) => {
    if (word.refused) {
      this.leave(word.refused);
    } else if (word.failure) {
      this.history.gap();
      const announced = `The server does not answer since ${words.clock(word.since)}.`;
      this.setState({ failure: word.failure, since: word.since, announced });
    } else {
      this.history.add(word.status);
      const announced = this.state.failure ? "The server answers again." : this.state.announced;
      this.setState({ status: word.status, failure: null, since: null, announced });
    }
  };

  enter = (given) => {
    token.keep(given);
    this.setState({ token: given, refused: null });
    this.watch(given);
  };

  leave = (refused = null) => {
    this.watching?.stop();
    token.forget();
    this.history = new History();
    this.setState({ token: null, refused, status: null, failure: null, since: null, announced: "" });
  };

  render(_, { token: given, refused, status, failure, since, announced }) {
    if (!given) return html`<${Login} refused=${refused} given=${this.enter} />`;
    return html`
      <a class="skip" href="#main">Skip to the figures</a>
      <${Head} status=${status} failure=${failure} since=${since} leave=${() => this.leave()} />
      <main id="main" tabindex="-1" class=${failure ? "away" : ""}>
        ${status ? this.panels(status, failure) : html`<p class="waiting">${failure ? "Nothing to show yet." : "Asking the server …"}</p>`}
      </main>
      <p class="sr" role="status" data-figure="announced">${announced || null}</p>
    `;
  }

  panels(status, failure) {
    const history = this.history;
    return html`
      <${Strip} status=${status} current=${!failure} />
      <div class="tiles"><${Flow} status=${status} history=${history} /></div>
      <${Balances} token=${this.state.token} away=${failure !== null} />
      <div class="panels">
        <div>
          <${Outcomes} status=${status} history=${history} />
          <${Lanes} status=${status} />
        </div>
        <div>
          <${Cache} status=${status} />
          <${Replicas} status=${status} />
          <${Gateway} status=${status} />
          <${Partitions} status=${status} />
        </div>
        <div><${DeadLetters} status=${status} /></div>
      </div>
    `;
  }
}

function Head({ status, failure, since, leave }) {
  return html`<header class="head">
    <h1>Folio Stream <span>console</span></h1>
    <p class="connection" data-figure="connection">${connection(status, failure, since)}</p>
    <button type="button" onClick=${leave}>Forget the token</button>
  </header>`;
}

function connection(status, failure, since) {
  if (failure) {
    const shown = status ? html`; figures are of ${words.clock(status.at)}` : "";
    return html`<${Mark} kind="bad" /> The server is away since ${words.clock(since)} (${failure})${shown}`;
  }
  if (!status) return html`<${Mark} kind="unknown" /> Asking`;
  return html`<${Mark} kind="good" /> Live, as of ${words.clock(status.at)}`;
}
