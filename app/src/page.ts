// The page: which view is shown, and what is asked once.

import { goTo, here } from "./address";
import { el } from "./dom";
import { MazeView, PolicyRow } from "./maze";
import { ask, Refused } from "./server";

interface View { open(): Promise<void>; key_?(event: KeyboardEvent): void }

const VIEWS: [string, string][] = [["maze", "Maze"]];

let shown: View | null = null;
let policies: PolicyRow[] = [];
let chosen = "";

async function open(): Promise<void> {
  const { view, given } = here();
  const root = document.getElementById("view")!;
  const nav = document.getElementById("views")!;
  nav.replaceChildren(...(VIEWS.length > 1 ? VIEWS : []).map(([name, words]) =>
    el("a", { href: `#${name}`, "aria-current": name === view ? "page" : null }, words)));
  shown = new MazeView(root, policies, given, chosen);
  await shown.open();
}

async function start(): Promise<void> {
  try {
    ({ policies, chosen } = await ask("/api/policies", {}));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    document.getElementById("view")!.replaceChildren(el("p", { role: "alert" }, error.message));
    return;
  }
  if (!VIEWS.some(([name]) => name === here().view)) goTo("maze", {});
  addEventListener("hashchange", () => void open());
  addEventListener("keydown", (event) => shown?.key_?.(event));
  await open();
}

void start();
