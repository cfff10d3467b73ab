// Asks for the status each second, and says when the server is away, since when, and when it is back.

const PERIOD_MS = 1000;
// The server bounds its own work to less than two seconds: whoever says nothing for this long is away.
const ANSWER_MS = 5000;

export class Watching {
  /** `told(state)`: {status, failure, since, refused}; one of status and failure is the newest word. */
  constructor(token, told) {
    this.token = token;
    this.told = told;
    this.away = null;
    this.stopped = false;
  }

  start() {
    this.ask();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  async ask() {
    const began = performance.now();
    const word = await this.answer();
    if (this.stopped) return;
    this.told(word);
    if (word.refused) return;
    // From one question to the next: what an answer takes is part of the second.
    this.timer = setTimeout(() => this.ask(), Math.max(0, PERIOD_MS - (performance.now() - began)));
  }

  async answer() {
    try {
      const response = await fetch("/v1/system/status", {
        headers: { Authorization: `Bearer ${this.token}` },
        cache: "no-store",
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      if (response.status === 401 || response.status === 403) return { refused: await problem(response) };
      if (!response.ok) return this.failed(`it answers ${response.status}`);
      const status = await response.json();
      this.away = null;
      return { status };
    } catch (error) {
      return this.failed(error.name === "TimeoutError" ? "no answer within 5 s" : "no connection");
    }
  }

  failed(failure) {
    this.away ??= Date.now();
    return { failure, since: this.away };
  }
}

async function problem(response) {
  try {
    return (await response.json()).detail;
  } catch {
    return `the server answers ${response.status}`;
  }
}
