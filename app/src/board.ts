// The maze under the hand: the server's drawing, and over it what catches pointer and keys.

import { drawing, el, svgEl } from "./dom";
import { Level, Square } from "./level";

const MARGIN = 0.45;
const STEPS: Record<string, Square> = {
  ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
};
const HELP = "Arrow keys move the cursor. Space draws or erases a wall. M puts the mouse here, C the cheese, X takes the " +
  "cheese away, T sends the mouse here. Control Z undoes.";

export interface Hands {
  level(): Level;
  /** The level as it is now under the hand; `done` where the hand lets go. */
  changed(level: Level, done: boolean): void;
  /** The square that pointer or cursor is on. */
  over(square: Square | null): void;
  /** What is done with a square that is chosen as a target; null where nothing can be sent. */
  sent(): ((square: Square) => void) | null;
}

type Grip = { kind: "M" | "C" } | { kind: "wall"; wall: boolean } | { kind: "send" };

export class Board {
  readonly element: HTMLElement;
  private under = el("div", { class: "drawn" });
  private sheet = svgEl("svg", { class: "sheet", role: "application", tabindex: 0, "aria-roledescription": "maze editor" });
  private marks = svgEl("g");
  private shown: Level | null = null;
  private grip: Grip | null = null;
  private last: Square | null = null;
  private wanted: Level | null = null;
  cursor: Square = [1, 1];

  constructor(private hands: Hands, label: string) {
    this.sheet.setAttribute("aria-label", `${label}. ${HELP}`);
    this.sheet.append(this.marks);
    this.element = el("div", { class: "board" }, this.under, this.sheet);
    this.sheet.addEventListener("pointerdown", (event) => this.press(event as PointerEvent));
    this.sheet.addEventListener("pointermove", (event) => this.drag(event as PointerEvent));
    for (const name of ["pointerup", "pointercancel"]) this.sheet.addEventListener(name, () => this.release());
    this.sheet.addEventListener("pointerleave", () => this.grip ?? this.hands.over(null));
    this.sheet.addEventListener("keydown", (event) => this.key(event as KeyboardEvent));
    for (const name of ["focus", "blur"]) this.sheet.addEventListener(name, () => this.mark());
  }

  get holding(): boolean { return this.grip !== null; }

  /** Shows the server's drawing of a level. */
  show(svg: string, level: Level): void {
    this.under.replaceChildren(drawing(svg));
    this.shown = level;
    const side = level.side + 2 * MARGIN;
    this.sheet.setAttribute("viewBox", `${-MARGIN} ${-MARGIN} ${side} ${side}`);
    this.cursor = this.cursor.map((at) => Math.min(at, level.side - 1)) as Square;
    this.mark();
  }

  /** What is under the hand and not drawn yet: walls, and where mouse and cheese are going. */
  mark(): void {
    this.marks.replaceChildren();
    const level = this.wanted ?? this.hands.level();
    const shown = this.shown;
    if (!shown || level.side !== shown.side) return;
    for (let row = 0; row < level.side; row++) {
      for (let column = 0; column < level.side; column++) {
        const wall = level.wall([row, column]);
        if (wall !== shown.wall([row, column])) {
          this.marks.append(svgEl("rect", { x: column, y: row, width: 1, height: 1, class: wall ? "wall" : "floor" }));
        }
      }
    }
    for (const letter of ["M", "C"] as const) {
      const at = level.find(letter);
      const was = shown.find(letter);
      if (at && (!was || at[0] !== was[0] || at[1] !== was[1])) {
        this.marks.append(svgEl("circle", { cx: at[1] + 0.5, cy: at[0] + 0.5, r: 0.4, class: letter === "M" ? "mouse" : "cheese" }));
      }
    }
    if (document.activeElement === (this.sheet as Element)) {
      const [row, column] = this.cursor;
      this.marks.append(svgEl("rect", { x: column + 0.04, y: row + 0.04, width: 0.92, height: 0.92, class: "cursor" }));
    }
  }

  private square(event: PointerEvent): Square {
    const box = this.sheet.getBoundingClientRect();
    const side = this.hands.level().side + 2 * MARGIN;
    const row = Math.floor(((event.clientY - box.top) / box.height) * side - MARGIN);
    const column = Math.floor(((event.clientX - box.left) / box.width) * side - MARGIN);
    return [row, column];
  }

  private press(event: PointerEvent): void {
    if (event.button !== 0 || this.grip) return;
    const at = this.square(event);
    const level = this.hands.level();
    if (!level.inside(at)) return;
    event.preventDefault();
    this.sheet.setPointerCapture(event.pointerId);
    this.sheet.focus({ preventScroll: true });
    this.cursor = at;
    const letter = level.at(at);
    if (letter === "M" || letter === "*") this.grip = { kind: "M" };
    else if (letter === "C") this.grip = { kind: "C" };
    else if (this.hands.sent() && !level.wall(at)) this.grip = { kind: "send" };
    else this.grip = { kind: "wall", wall: !level.wall(at) };
    this.last = at;
    this.wanted = level;
    this.apply(at);
  }

  private drag(event: PointerEvent): void {
    const at = this.square(event);
    this.hands.over(this.hands.level().inside(at) ? at : null);
    if (!this.grip || !this.last || (at[0] === this.last[0] && at[1] === this.last[1])) return;
    // A quick hand jumps over squares: a stroke is drawn on all between.
    const jumps = Math.max(Math.abs(at[0] - this.last[0]), Math.abs(at[1] - this.last[1]));
    const from = this.last;
    const through = this.grip.kind === "wall" ? Array.from({ length: jumps }, (_, i) => (i + 1) / jumps) : [1];
    for (const share of through) {
      this.apply([0, 1].map((axis) => Math.round(from[axis] + (at[axis] - from[axis]) * share)) as Square);
    }
    this.last = at;
  }

  private apply(at: Square): void {
    const level = this.wanted!;
    const grip = this.grip!;
    if (!level.inside(at)) return;
    if (grip.kind === "send") {
      if (!level.wall(at)) this.hands.sent()?.(at);
      return;
    }
    const next = grip.kind === "wall" ? level.walled(at, grip.wall) : level.moved(grip.kind, at);
    this.cursor = at;
    if (next.text !== level.text) {
      this.wanted = next;
      this.hands.changed(next, false);
    }
    this.mark();
  }

  private release(): void {
    if (!this.grip) return;
    const level = this.wanted!;
    const sent = this.grip.kind === "send";
    this.grip = this.wanted = this.last = null;
    if (!sent) this.hands.changed(level, true);
    this.mark();
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const level = this.hands.level();
    const step = STEPS[event.key];
    if (step) {
      const to: Square = [this.cursor[0] + step[0], this.cursor[1] + step[1]];
      if (level.inside(to)) this.cursor = to;
      this.hands.over(this.cursor);
    } else if (event.key === " ") this.hands.changed(level.walled(this.cursor, !level.wall(this.cursor)), true);
    else if (event.key === "m" || event.key === "M") this.hands.changed(level.moved("M", this.cursor), true);
    else if (event.key === "c" || event.key === "C") this.hands.changed(level.moved("C", this.cursor), true);
    else if (event.key === "x" || event.key === "X") this.hands.changed(level.without("C"), true);
    else if ((event.key === "t" || event.key === "T") && !level.wall(this.cursor)) this.hands.sent()?.(this.cursor);
    else return;
    event.preventDefault();
    this.mark();
  }
}
