// The state of a view stands in the address, so that a link or a bookmark brings it back.

export interface Place {
  view: string;
  given: URLSearchParams;
}

export function here(): Place {
  const [view, rest] = location.hash.replace(/^#/, "").split(/\?(.*)/s);
  return { view: view || "maze", given: new URLSearchParams(rest ?? "") };
}

export function goTo(view: string, given: Record<string, string | number>): void {
  const kept = Object.entries(given).filter(([, value]) => value !== "");
  const rest = new URLSearchParams(kept.map(([name, value]) => [name, String(value)]));
  const hash = `#${view}${kept.length ? `?${rest}` : ""}`;
  if (hash !== location.hash) history.replaceState(null, "", hash);
}

/** A maze's text as it stands in an address: short, and readable. */
export const packed = (text: string): string => text.replaceAll("#", "x").replaceAll("\n", "-").replaceAll("*", "o");
export const unpacked = (text: string): string => text.replaceAll("x", "#").replaceAll("-", "\n").replaceAll("o", "*");

/** What was done, and what can be done again. */
export class History<S> {
  private done: S[] = [];
  private at = -1;

  push(state: S): void {
    if (this.at >= 0 && JSON.stringify(this.done[this.at]) === JSON.stringify(state)) return;
    this.done = [...this.done.slice(Math.max(0, this.at - 500), this.at + 1), state];
    this.at = this.done.length - 1;
  }
  get canUndo(): boolean { return this.at > 0; }
  get canRedo(): boolean { return this.at < this.done.length - 1; }
  undo(): S | null { return this.canUndo ? this.done[--this.at] : null; }
  redo(): S | null { return this.canRedo ? this.done[++this.at] : null; }
}
