// The view of the inside: every site and channel of a policy as a picture over the maze that is under the hand.

import { goTo, packed, unpacked } from "./address";
import { button, choice, drawing, el, labelled } from "./dom";
import { PolicyRow } from "./maze";
import { ask, Latest } from "./server";

interface Question { policy: string; text: string; site: string; search: string; page: number }
interface Found {
  sites: { name: string; shape: number[] }[]; site: string; channels: number; page: number; pages: number; extent: number;
  tiles: { channel: number; least: number; greatest: number; svg: string }[]; python: string;
}

export class InsideView {
  private asked: Question;
  private pictures = el("div", { class: "tiles" });
  private said = el("p", { class: "note", "aria-live": "polite" });
  private message = el("p", { class: "message", role: "alert" });
  private pager = el("div", { class: "row" });
  private list = el("div", { class: "sites", role: "group", "aria-label": "Sites" });
  private python = el("pre", { tabindex: 0 });
  private latest = new Latest<Question>("/api/inside", (found: Found, asked) => this.took(found, asked), (words) => {
    this.message.textContent = words;
  });

  constructor(private root: HTMLElement, private policies: PolicyRow[], given: URLSearchParams, chosen: string) {
    this.asked = {
      policy: given.get("policy") ?? chosen, text: unpacked(given.get("maze") ?? ""), site: given.get("site") ?? "",
      search: given.get("search") ?? "", page: Number(given.get("page") ?? 0) || 0,
    };
  }

  async open(): Promise<void> {
    const mazes = this.policies.filter((row) => row.world === "maze" || row.world === "");
    const names = [...mazes.flatMap((row) => [row.name, ...row.snapshots])].map((name): [string, string] => [name, name]);
    const search = el("input", { type: "search", value: this.asked.search, input: () => this.put({ search: search.value, site: "" }) });
    this.root.replaceChildren(el("div", { class: "maze" },
      el("section", { class: "stage", "aria-label": "Channels" }, this.said, this.message, this.pictures, this.pager),
      el("section", { class: "side", "aria-label": "Sites" }, el("div", { class: "controls" },
        labelled("Policy", choice(names, this.asked.policy, (policy) => this.put({ policy, site: "" }))),
        labelled("Find site", search)), this.list,
      el("details", {}, el("summary", {}, "The same numbers in Python"), this.python))));
    if (!this.asked.text) this.asked.text = (await ask("/api/level", { level: 1, size: 13 })).text;
    await this.latest.send(this.asked, true);
  }

  private put(change: Partial<Question>): void {
    this.asked = { ...this.asked, page: 0, ...change };
    void this.latest.send(this.asked, false);
  }

  private took(found: Found, asked: Question): void {
    this.message.textContent = "";
    goTo("inside", { policy: asked.policy, site: asked.site, search: asked.search, maze: packed(asked.text), ...(asked.page ? { page: asked.page } : {}) });
    this.list.replaceChildren(...found.sites.map((site) =>
      button(`${site.name} [${site.shape.join(" × ")}]`, () => this.put({ site: site.name }), { "aria-pressed": String(site.name === found.site) })));
    if (!found.sites.length) this.list.replaceChildren(el("p", { class: "note" }, "No site has these words in its name."));
    this.said.textContent = `${found.site}: ${found.channels} ${found.channels === 1 ? "channel" : "channels"}, one scale from ` +
      `−${found.extent.toPrecision(3)} (blue) over 0 to ${found.extent.toPrecision(3)} (orange), with the mouse where it is.`;
    this.pictures.replaceChildren(...found.tiles.map((tile) => el("figure", {}, drawing(tile.svg),
      el("figcaption", {}, `${tile.channel}`, el("small", {}, ` ${tile.least.toPrecision(3)} to ${tile.greatest.toPrecision(3)}`)))));
    this.pager.replaceChildren(...(found.pages > 1 ? [
      button("Previous", () => this.put({ page: found.page - 1 }), { disabled: found.page === 0 }),
      button("Next", () => this.put({ page: found.page + 1 }), { disabled: found.page + 1 >= found.pages })] : []));
    this.python.textContent = found.python;
  }
}
