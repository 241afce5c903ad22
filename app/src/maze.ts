// The view of mazes: one policy or two under the hand.

import { goTo, History, packed, unpacked } from "./address";
import { Board } from "./board";
import { button, choice, drawing, el, labelled, percent } from "./dom";
import { Level, Square } from "./level";
import { ask, Latest, Refused } from "./server";

export interface PolicyRow { name: string; world: string; about: string; size: number | null; snapshots: string[] }

export interface State {
  policy: string;
  beside: string;
  paint: string;
  text: string;
  dose: number;
  to: Square | null;
}
interface Row { name: string; estimate: number; low?: number; high?: number; n?: number }
interface Effect { what: string; to: Square | null; rows: Row[]; held_out: Row[]; learning: boolean }
interface Panel {
  name: string; svg: string; steps: number; reach_start: number | null; value_start: number | null;
  moves_start: number[]; actions: string[]; expected_steps: number;
  reach: number[]; value: (number | null)[]; moves: number[][]; final: number[]; visits: number[];
}
interface Answer {
  text: string; size: number; squares: Square[]; decision: Square | null; paint: string; label: string;
  panels: Panel[]; key: string; difference: { svg: string; key: string; name: string } | null; python: string; effect: Effect | null;
}

const EDITS: [string, string][] = [["edit:cheese", "itself, with more or less cheese"], ["edit:send", "itself, sent to a square"]];
const PAINTS: [string, string][] = [
  ["reach", "P(reach the cheese)"], ["value", "value"], ["final", "where it ends"], ["visits", "expected visits"],
];

function square(text: string | null): Square | null {
  const found = (text ?? "").split(",").map(Number);
  return found.length === 2 && found.every(Number.isInteger) ? [found[0], found[1]] : null;
}

export class MazeView {
  private state: State;
  private good: State;
  private answer: Answer | null = null;
  private history = new History<State>();
  private boards: Board[] = [];
  private latest: Latest<State>;
  private pictures = el("div", { class: "boards" });
  private key = el("div", { class: "key" });
  private effect = el("div", { class: "effect", "aria-live": "polite" });
  private numbers = el("div", { class: "numbers" });
  private hover = el("p", { class: "hover", "aria-live": "polite" });
  private message = el("p", { class: "message", role: "alert" });
  private text = el("textarea", { rows: 9, spellcheck: "false", "aria-label": "The maze as text" });
  private controls = el("div", { class: "controls" });
  private undoButton = button("Undo", () => this.step(this.history.undo()), { title: "Ctrl+Z" });
  private redoButton = button("Redo", () => this.step(this.history.redo()), { title: "Ctrl+Y" });
  private python = el("pre", { class: "python", tabindex: 0 });

  constructor(private root: HTMLElement, private policies: PolicyRow[], given: URLSearchParams, chosen: string) {
    const first = policies.find((row) => row.world === "maze" || row.name === chosen);
    this.state = {
      policy: given.get("policy") ?? (policies.some((row) => row.name === chosen) ? chosen : first?.name ?? chosen),
      beside: given.get("beside") ?? "", paint: given.get("paint") ?? "reach",
      text: unpacked(given.get("maze") ?? ""), dose: Number(given.get("dose") ?? -1) || 0, to: square(given.get("to")),
    };
    if (chosen.includes("@") && !given.get("policy")) this.state.policy = chosen;
    this.good = this.state;
    this.latest = new Latest("/api/maze", (found, asked, keep) => this.took(found, asked, keep), (words) => this.refused(words));
  }

  async open(): Promise<void> {
    this.root.replaceChildren(
      el("div", { class: "maze" },
        el("section", { class: "stage", "aria-label": "Maze" }, this.tools(), this.pictures, this.hover, this.message, this.key),
        el("section", { class: "side", "aria-label": "Numbers" }, this.controls, this.effect, this.numbers, this.texts())),
    );
    this.drawControls();
    if (!this.state.text) await this.level(1, 13, false);
    else this.send(true);
  }

  /** Ctrl+Z and Ctrl+Y, wherever the focus is but in a text field. */
  key_(event: KeyboardEvent): void {
    if (!(event.ctrlKey || event.metaKey) || (event.target as HTMLElement).matches("textarea, input")) return;
    const key = event.key.toLowerCase();
    if (key === "z" && !event.shiftKey) this.step(this.history.undo());
    else if (key === "y" || (key === "z" && event.shiftKey)) this.step(this.history.redo());
    else return;
    event.preventDefault();
  }

  private tools(): HTMLElement {
    const number = el("input", { type: "number", min: 0, value: 1, class: "short" });
    const size = choice([5, 7, 9, 11, 13, 15, 19, 25].map((n) => [String(n), `${n} × ${n}`]), "13", () => undefined);
    const draw = button("Draw level", () => void this.level(Number(number.value) || 0, Number(size.value), false));
    return el("div", { class: "tools", role: "toolbar", "aria-label": "Edit" },
      this.undoButton, this.redoButton,
      button("No cheese", () => this.edit(new Level(this.state.text).without("C"), true)),
      el("span", { class: "gap" }), labelled("Level", number), labelled("Size", size), draw);
  }

  private texts(): HTMLElement {
    const take = button("Show this text", () => this.edit(new Level(this.text.value.replace(/\s+$/, "")), true));
    const copy = button("Copy as Python", async () => {
      await navigator.clipboard.writeText(this.answer?.python ?? "");
      copy.textContent = "Copied";
      setTimeout(() => (copy.textContent = "Copy as Python"), 1500);
    });
    const save = button("Save as one file", async () => {
      const found = await ask("/api/save", this.good);
      const href = URL.createObjectURL(new Blob([found.html], { type: "text/html" }));
      el("a", { href, download: found.name }).click();
      setTimeout(() => URL.revokeObjectURL(href), 10_000);
    });
    this.text.addEventListener("paste", () => setTimeout(() => take.click()));
    return el("div", { class: "texts" },
      el("details", { open: true }, el("summary", {}, "As text"), this.text, el("div", { class: "row" }, take),
        el("p", { class: "note" }, "# wall, . free, M mouse, C cheese. Paste a maze here.")),
      el("details", {}, el("summary", {}, "The same numbers in Python"), this.python, el("div", { class: "row" }, copy)),
      el("div", { class: "row" }, save));
  }

  private drawControls(): void {
    const mazes = this.policies.filter((row) => row.world === "maze" || row.world === "" || row.name === this.state.policy);
    const base = (name: string) => name.split("@")[0];
    const names: [string, string][] = mazes.map((row) => [row.name, row.name]);
    const parts: HTMLElement[] = [labelled("Policy", choice(names, base(this.state.policy), (value) => this.put({ policy: value })))];
    const row = this.policies.find((each) => each.name === base(this.state.policy));
    if (row?.snapshots.length) parts.push(this.snapshots(row));
    if (row) parts.push(el("p", { class: "note" }, row.about));
    const others: [string, string][] = [["", "nothing"], ...EDITS, ...names.filter(([name]) => name !== this.state.policy)];
    if (this.state.policy.includes("@")) others.splice(1, 0, [base(this.state.policy), `${base(this.state.policy)} (trained)`]);
    const unique = others.filter(([value], i) => others.findIndex(([other]) => other === value) === i);
    parts.push(labelled("Beside it", choice(unique, this.state.beside, (value) => this.put({ beside: value }))));
    if (this.state.beside === "edit:cheese") parts.push(this.dose());
    if (this.state.beside === "edit:send") parts.push(el("p", { class: "note" }, "Click a free square of the first maze, or press T on it."));
    parts.push(labelled("Painted", choice(PAINTS, this.state.paint, (value) => this.put({ paint: value }))));
    this.controls.replaceChildren(...parts);
  }

  private dose(): HTMLElement {
    const said = el("output", {}, `${this.state.dose} × what the cheese adds`);
    const slider = el("input", {
      type: "range", min: -4, max: 4, step: 0.25, value: this.state.dose,
      input: () => {
        said.textContent = `${slider.value} × what the cheese adds`;
        this.state = { ...this.state, dose: Number(slider.value) };
        this.send(false);
      },
      change: () => this.put({ dose: Number(slider.value) }, false),
    });
    return el("div", { class: "slider" }, labelled("Dose", slider), said);
  }

  private snapshots(row: PolicyRow): HTMLElement {
    const names = [...row.snapshots, row.name];
    const steps = (i: number) => (i === names.length - 1 ? "trained" : `${Number(names[i].split("@")[1]).toLocaleString("en-GB")} steps`);
    const at = Math.max(0, names.indexOf(this.state.policy));
    const said = el("output", {}, steps(at));
    const slider = el("input", {
      type: "range", min: 0, max: names.length - 1, value: at, "aria-valuetext": steps(at),
      input: () => {
        const i = Number(slider.value);
        said.textContent = steps(i);
        slider.setAttribute("aria-valuetext", steps(i));
        this.state = { ...this.state, policy: names[i] };
        this.send(false);
      },
      change: () => this.put({ policy: names[Number(slider.value)] }, false),
    });
    return el("div", { class: "slider" }, labelled("Training", slider), said);
  }

  private put(change: Partial<State>, redraw = true): void {
    this.state = { ...this.state, ...change };
    if (this.state.beside === this.state.policy) this.state.beside = "";
    if (redraw) this.drawControls();
    this.boards.forEach((board) => board.mark());
    this.send(true);
  }

  private spot: Square | null = null;

  private step(state: State | null): void {
    if (!state) return;
    this.state = state;
    this.drawControls();
    this.send(false);
  }

  private edit(level: Level, done: boolean): void {
    this.state = { ...this.state, text: level.text };
    this.send(done);
  }

  private async level(number: number, size: number, anywhere: boolean): Promise<void> {
    try {
      const found = await ask("/api/level", { level: number, size, anywhere });
      this.edit(new Level(found.text), true);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.refused(error.message);
    }
  }

  private send(keep: boolean): void {
    void this.latest.send(this.state, keep);
  }

  private took(found: Answer, asked: State, keep: boolean): void {
    this.answer = found;
    // The server writes the maze as the policy sees it: centred in its world. Under a hand nothing may jump.
    const normal = { ...asked, text: found.text };
    const same = this.state === asked;
    this.good = normal;
    if (same && !this.boards.some((board) => board.holding)) this.state = normal;
    if (keep) this.history.push(normal);
    this.message.textContent = "";
    this.text.removeAttribute("aria-invalid");
    if (document.activeElement !== this.text) this.text.value = found.text;
    const { text, to, dose, ...rest } = normal;
    const more: Record<string, string | number> = rest.beside === "edit:cheese" ? { dose } : rest.beside === "edit:send" && to ? { to: to.join(",") } : {};
    goTo("maze", { ...rest, ...more, maze: packed(text) });
    this.draw(found);
    if (found.effect?.learning) setTimeout(() => this.state === normal && this.send(false), 1500);
  }

  private refused(words: string): void {
    this.message.textContent = words;
    this.text.setAttribute("aria-invalid", "true");
    if (this.boards.some((board) => board.holding)) return;
    if (this.answer) this.state = this.good;
    this.boards.forEach((board) => board.mark());
  }

  private draw(found: Answer): void {
    const level = new Level(found.text);
    if (this.boards.length !== found.panels.length) {
      this.boards = found.panels.map((panel) => new Board(this.hands(), `Maze of ${panel.name}`));
      this.pictures.replaceChildren(...this.boards.map((board, i) =>
        el("figure", {}, el("figcaption", { "data-panel": i }), board.element)));
      this.pictures.dataset.count = String(found.panels.length + (found.difference ? 1 : 0));
      if (found.difference) this.pictures.append(el("figure", { class: "difference" }, el("figcaption"), el("div", { class: "drawn" }), el("div", { class: "key" })));
    }
    found.panels.forEach((panel, i) => {
      this.boards[i].show(panel.svg, level);
      this.pictures.querySelectorAll("figcaption")[i].textContent = found.panels.length > 1 ? panel.name : "";
    });
    if (found.difference) {
      const figure = this.pictures.querySelector(".difference")!;
      figure.querySelector("figcaption")!.textContent = found.difference.name;
      figure.querySelector(".drawn")!.replaceChildren(drawing(found.difference.svg));
      figure.querySelector(".key")!.replaceChildren(drawing(found.difference.key));
    }
    this.key.replaceChildren(drawing(found.key));
    this.effect.replaceChildren(...(found.effect ? this.told(found.effect) : []));
    this.numbers.replaceChildren(...found.panels.map((panel) => this.table(panel, found)));
    this.python.textContent = found.python;
    this.undoButton.disabled = !this.history.canUndo;
    this.redoButton.disabled = !this.history.canRedo;
    this.say(this.spot);
  }

  private hands() {
    return {
      level: () => new Level(this.state.text), changed: (level: Level, done: boolean) => this.edit(level, done),
      over: (square: Square | null) => this.say(square),
      sent: () => (this.state.beside === "edit:send" ? (to: Square) => this.put({ to }, false) : null),
    };
  }

  /** What an edit does here, beside its controls; and what it did where nothing was chosen. */
  private told(effect: Effect): HTMLElement[] {
    const table = (caption: string, rows: Row[]) => el("table", {}, el("caption", {}, caption), el("tbody", {}, ...rows.map((row) =>
      el("tr", {}, el("th", { scope: "row" }, row.name), el("td", { "data-exact": String(row.estimate) }, percent(row.estimate),
        row.low === undefined ? null : el("small", {}, ` [${percent(row.low)}, ${percent(row.high!)}], ${row.n} mazes`))))));
    const parts: HTMLElement[] = [];
    if (effect.learning) parts.push(el("p", { class: "note" }, "Learning the edit on other mazes, once for this policy: half a minute …"));
    if (effect.rows.length) parts.push(table(`${effect.what}, exact in this maze`, effect.rows));
    if (effect.held_out.length) {
      parts.push(table("P(reach the square), mean over mazes that the edit was not chosen on (quick: few), 95% interval", effect.held_out),
        el("p", { class: "note" }, "Those are the largest mazes with the cheese in the top right; the numbers say nothing of others."));
    }
    return parts;
  }

  /** What the square under the pointer or cursor says, in words. */
  private say(square: Square | null): void {
    this.spot = square;
    const found = this.answer;
    const i = square && found ? found.squares.findIndex(([row, column]) => row === square[0] && column === square[1]) : -1;
    if (!found || i < 0 || !square) {
      this.hover.textContent = square ? `row ${square[0]}, column ${square[1]}: wall, or out of reach` : "";
      return;
    }
    const parts = found.panels.map((panel) => {
      const moves = panel.moves[i].map((share, a) => ({ share, name: panel.actions[a] })).filter(({ share }) => share >= 0.005);
      const value = panel.value[i] === null ? "" : `, value ${panel.value[i]!.toFixed(2)}`;
      const name = found.panels.length > 1 ? `${panel.name} ` : "";
      return `${name}P(reach) ${percent(panel.reach[i])}${value}; ${moves.map(({ share, name }) => `${name} ${percent(share, 0)}`).join(", ")}`;
    });
    this.hover.textContent = `row ${square[0]}, column ${square[1]}: ${parts.join(" | ")}`;
  }

  private table(panel: Panel, found: Answer): HTMLElement {
    const ends = panel.final.map((share, i) => ({ share, at: found.squares[i] })).sort((a, b) => b.share - a.share).filter(({ share }, i) => i === 0 || share >= 0.005).slice(0, 3);
    const name = (at: Square) => {
      const cheese = new Level(found.text).find("C");
      return `(${at[0]}, ${at[1]})${cheese && cheese[0] === at[0] && cheese[1] === at[1] ? ", the cheese" : ""}`;
    };
    const row = (term: string, ...said: (string | HTMLElement)[]) => [el("dt", {}, term), el("dd", {}, ...said)];
    const moves = panel.moves_start.map((share, a) =>
      el("span", { class: "move" }, panel.actions[a], el("meter", { min: 0, max: 1, value: share, "aria-label": panel.actions[a] }), percent(share)));
    return el("div", { class: "panel" },
      found.panels.length > 1 ? el("h2", {}, panel.name) : null,
      el("p", { class: "big" },
        el("strong", { "data-number": "reach", "data-exact": panel.reach_start === null ? "" : String(panel.reach_start) },
          panel.reach_start === null ? "no cheese" : percent(panel.reach_start)),
        el("span", {}, panel.reach_start === null ? "" : ` P(reach the cheese within ${panel.steps} steps), exact: no sampling, so no interval`)),
      el("dl", {},
        ...row("Ends at", ...ends.map(({ share, at }) => el("span", { class: "end" }, `${name(at)} ${percent(share)}`))),
        ...row("Moves here", ...moves),
        ...(panel.value_start === null ? [] : row("Value here", el("span", { "data-number": "value", "data-exact": String(panel.value_start) }, panel.value_start.toFixed(3)))),
        ...row("Expected length", `${panel.expected_steps.toFixed(1)} steps`),
        ...row("Decision square", found.decision ? `(${found.decision[0]}, ${found.decision[1]})` : "none: the ways to cheese and top-right corner do not part")));
  }
}
