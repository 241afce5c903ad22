// The page: which view is shown, and what is asked once.

import { goTo, here } from "./address";
import { el } from "./dom";
import { InsideView } from "./inside";
import { MazeView, PolicyRow } from "./maze";
import { RunsView } from "./runs";
import { ask, Refused } from "./server";

interface View { open(): Promise<void>; key_?(event: KeyboardEvent): void }

const VIEWS: [string, string][] = [["maze", "Maze"], ["inside", "Inside"], ["runs", "Runs"]];

let shown: View | null = null;
let policies: PolicyRow[] = [];
let chosen = "";

async function open(): Promise<void> {
  const { view, given } = here();
  const root = document.getElementById("view")!;
  const nav = document.getElementById("views")!;
  // Maze and inside look at the same level: the way from one to the other takes it along.
  const maze = () => new URLSearchParams(location.hash.split(/\?(.*)/s)[1] ?? "");
  const along = (name: string) => {
    const kept = new URLSearchParams([...maze()].filter(([key]) => ["maze", "policy"].includes(key) && name !== "runs" && view !== "runs"));
    return `#${name}${kept.size ? `?${kept}` : ""}`;
  };
  nav.replaceChildren(...VIEWS.map(([name, words]) => el("a", {
    href: `#${name}`, "aria-current": name === view ? "page" : null,
    click: (event: Event) => { (event.currentTarget as HTMLAnchorElement).href = along(name); },
  }, words)));
  shown = view === "runs" ? new RunsView(root, given)
    : view === "inside" ? new InsideView(root, policies, given, chosen) : new MazeView(root, policies, given, chosen);
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
