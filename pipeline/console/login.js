// Who looks: a token is asked for, kept for this tab, and shown to this server alone.

import { Component, createRef, html } from "./preact.js";
import { Mark } from "./panel.js";

export class Login extends Component {
  field = createRef();

  componentDidMount() {
    this.field.current.focus();
  }

  submit = (event) => {
    event.preventDefault();
    const given = this.field.current.value.trim();
    if (given) this.props.given(given);
  };

  render({ refused }) {
    return html`<main id="main" class="login">
      <h1>Folio Stream console</h1>
      <form onSubmit=${this.submit}>
        <label for="token">Token with the role operator</label>
        <input id="token" ref=${this.field} type="password" autocomplete="off" spellcheck=${false} required
          aria-describedby="token-hint" aria-invalid=${refused ? "true" : "false"} />
        <p id="token-hint" class="hint">On the local stack: <code>folio token --role operator</code> prints one. It is kept for this tab alone.</p>
        <p role="alert" class="refused">${refused ? html`<${Mark} kind="bad" /> Not accepted: ${refused}` : ""}</p>
        <button type="submit">Look</button>
      </form>
    </main>`;
  }
}
