// The view of runs: every finding of every run folder, one page of the table at a time.

import { goTo } from "./address";
import { button, choice, el, labelled } from "./dom";
import { Latest } from "./server";

interface Row { [column: string]: any }
interface Found {
  rows: Row[]; count: number; page: number; pages: number; policies: string[]; verdicts: string[];
  reports: Record<string, boolean>; problems: string[];
}
interface Question { search: string; policy: string; verdict: string; sort: string; down: boolean; page: number }

const HEADS: [string, string][] = [
  ["id", "Finding"], ["policy", "Policy"], ["estimate", "Estimate"], ["control", "Control"], ["standing", "Verdict"], ["run", "Run"],
];

function shown(value: number | null, unit: string): string {
  if (value === null || value === undefined) return "";
  const share = unit === "probability" || unit === "share" || unit === "fraction";
  const words = share ? `${(100 * value).toFixed(1)}%` : Number(value.toPrecision(4)).toString();
  return words.replace(/^-(0(\.0+)?%?)$/, "$1");
}

function limits(low: number | null, high: number | null, unit: string): string {
  return low === null || high === null ? "no interval" : `[${shown(low, unit)}, ${shown(high, unit)}]`;
}

export class RunsView {
  private asked: Question;
  private table = el("div", { class: "wide" });
  private message = el("p", { class: "message", role: "alert" });
  private filters = el("div", { class: "tools" });
  private report = el("div", { class: "report" });
  private latest = new Latest<Question>("/api/runs", (found: Found, asked) => this.took(found, asked), (words) => {
    this.table.replaceChildren();
    this.message.textContent = words;
  });

  constructor(private root: HTMLElement, given: URLSearchParams) {
    const text = (name: string, other = "") => given.get(name) ?? other;
    this.asked = {
      search: text("search"), policy: text("policy"), verdict: text("verdict"), sort: text("sort", "run"),
      down: text("down") === "true", page: Number(text("page", "0")) || 0,
    };
  }

  async open(): Promise<void> {
    this.root.replaceChildren(el("section", { "aria-label": "Runs" }, el("h1", {}, "Every number of every run"),
      this.filters, this.message, this.table), this.report);
    await this.latest.send(this.asked, true);
  }

  private put(change: Partial<Question>): void {
    this.asked = { ...this.asked, page: 0, ...change };
    void this.latest.send(this.asked, false);
  }

  private took(found: Found, asked: Question): void {
    this.message.textContent = found.problems.join("; ");
    const { down, page, ...rest } = asked;
    goTo("runs", { ...rest, ...(down ? { down: "true" } : {}), ...(page ? { page } : {}) } as Record<string, string | number>);
    if (!this.filters.childElementCount) this.drawFilters(found);
    const heads = HEADS.map(([column, words]) => el("th", {
      scope: "col", "aria-sort": asked.sort !== column ? "none" : asked.down ? "descending" : "ascending",
    }, button(words, () => this.put({ sort: column, down: asked.sort === column && !asked.down }))));
    const rows = found.rows.map((row) => el("tr", {},
      el("th", { scope: "row" }, el("code", {}, row.id), row.role ? el("small", {}, ` ${row.role}`) : null, el("div", {}, row.question)),
      el("td", { "data-label": "Policy" }, row.policy, row.quick ? el("small", { class: "quick" }, " quick run") : null),
      el("td", { "data-label": "Estimate" }, el("strong", {}, shown(row.estimate, row.unit)), el("small", {}, ` ${limits(row.low, row.high, row.unit)}, n = ${row.n}, ${row.unit}`)),
      el("td", { "data-label": "Control" }, row.control === null ? "none" : shown(row.control, row.unit),
        row.control === null ? null : el("small", {}, ` ${limits(row.control_low, row.control_high, row.unit)}, ${row.control_name}`)),
      el("td", { "data-label": "Verdict" }, el("span", { class: `badge ${row.standing}` }, row.standing)),
      el("td", { "data-label": "Run" }, found.reports[row.run] ? button(row.run, () => this.openReport(row.run), { "aria-label": `Open the report of ${row.run}` }) : row.run)));
    const at = `${found.count.toLocaleString("en-GB")} ${found.count === 1 ? "finding" : "findings"}, page ${found.page + 1} of ${found.pages}`;
    this.table.replaceChildren(
      el("table", { class: "findings" }, el("caption", {}, `${at}. Each estimate stands with its 95% interval, n, and control.`),
        el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...rows)),
      el("div", { class: "row" },
        button("Previous", () => this.put({ page: found.page - 1 }), { disabled: found.page === 0 }),
        button("Next", () => this.put({ page: found.page + 1 }), { disabled: found.page + 1 >= found.pages })));
    if (!rows.length) this.table.append(el("p", {}, "No finding has all of that: take a word or a filter away."));
  }

  private drawFilters(found: Found): void {
    const search = el("input", { type: "search", value: this.asked.search, input: () => this.put({ search: search.value }) });
    const every = (words: string[]): [string, string][] => [["", "all"], ...words.map((word): [string, string] => [word, word])];
    this.filters.replaceChildren(labelled("Words", search),
      labelled("Policy", choice(every(found.policies), this.asked.policy, (policy) => this.put({ policy }))),
      labelled("Verdict", choice(every(found.verdicts), this.asked.verdict, (verdict) => this.put({ verdict }))));
  }

  private openReport(run: string): void {
    const frame = el("iframe", { src: `report?run=${encodeURIComponent(run)}`, sandbox: "", title: `Report of ${run}` });
    this.report.replaceChildren(el("section", {}, el("div", { class: "row" }, el("h2", {}, `Report of ${run}`),
      button("Close", () => this.report.replaceChildren())), frame));
    this.report.scrollIntoView({ block: "start" });
  }
}
