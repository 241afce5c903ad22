// What the page asks of the server. A question that is overtaken is never sent: the newest state wins.

export class Refused extends Error {}

const away = (): HTMLElement => document.getElementById("away")!;
const WAIT = 1500;

function said(words: string): void {
  away().textContent = words;
  away().hidden = words === "";
}

/** One answer. Where the server is away, the page says so and asks again until it is back. */
export async function ask(path: string, body: object): Promise<any> {
  for (;;) {
    let answer: Response;
    try {
      answer = await fetch(path, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      });
    } catch {
      said("The server does not answer. What you made is kept here and in the address; it goes on when the server is back.");
      await new Promise((done) => setTimeout(done, WAIT));
      continue;
    }
    if (answer.status === 401) {
      said("The server was started anew. Open the link that it printed; the address of this page keeps what you made.");
      await new Promise((done) => setTimeout(done, 2 * WAIT));
      continue;
    }
    said("");
    const type = answer.headers.get("Content-Type") ?? "";
    const found = type.includes("json") ? await answer.json() : { error: await answer.text() };
    if (!answer.ok) throw new Refused(String(found.error ?? `the server answers ${answer.status}`));
    return found;
  }
}

/** Asks one question at a time; of those that come meanwhile only the last is asked. */
export class Latest<Q extends object> {
  private waiting: Q | null = null;
  busy = false;

  constructor(
    private path: string, private took: (found: any, asked: Q) => void,
    private refused: (words: string, asked: Q) => void,
  ) {}

  async send(question: Q): Promise<void> {
    if (this.busy) {
      this.waiting = question;
      return;
    }
    this.busy = true;
    document.body.dataset.busy = "yes";
    let next: Q | null = question;
    while (next) {
      const asked: Q = next;
      try {
        const found = await ask(this.path, asked);
        this.took(found, asked);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        if (!this.waiting) this.refused(error.message, asked);
      }
      next = this.waiting;
      this.waiting = null;
    }
    this.busy = false;
    delete document.body.dataset.busy;
  }
}
