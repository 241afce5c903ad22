// What the page asks of the server. A question that is overtaken is never sent: the newest state wins.

export class Refused extends Error {}

const away = (): HTMLElement => document.getElementById("away")!;
const WAIT = 1500;
const KEPT = 3;

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

/** Asks one question at a time. Of those that come meanwhile only the last is asked, and a few that are to be kept. */
export class Latest<Q extends object> {
  private waiting: { question: Q; keep: boolean }[] = [];
  private busy = false;

  constructor(
    private path: string, private took: (found: any, asked: Q, keep: boolean) => void,
    private refused: (words: string, asked: Q) => void,
  ) {}

  /** `keep`: the hand has let go; this state is a step that can be undone, and is not overtaken. */
  async send(question: Q, keep: boolean): Promise<void> {
    this.waiting = [...this.waiting.filter((each) => each.keep).slice(-KEPT), { question, keep }];
    if (this.busy) return;
    this.busy = true;
    document.body.dataset.busy = "yes";
    for (let next = this.waiting.shift(); next; next = this.waiting.shift()) {
      try {
        this.took(await ask(this.path, next.question), next.question, next.keep);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        if (!this.waiting.length) this.refused(error.message, next.question);
      }
    }
    this.busy = false;
    delete document.body.dataset.busy;
  }
}
