// What a report does beyond lying there: rows chosen by standing and by words, tables sorted by a column. Without it all is
// there, folded. Nothing is loaded, kept or sent.
(() => {
  const tools = document.querySelector(".tools");
  if (!tools) return;
  const rows = [...document.querySelectorAll("tbody tr")];
  const folds = [...document.querySelectorAll("details.more, details.policy")];
  const before = folds.map((fold) => fold.open);
  const search = tools.querySelector("input");
  const said = tools.querySelector("output");
  let standing = "";

  const choose = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const active = Boolean(standing || words.length);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = (standing && row.dataset.standing !== standing) || words.some((word) => !text.includes(word));
      shown += !row.hidden;
    }
    folds.forEach((fold, i) => {
      const left = fold.querySelector("tbody tr:not([hidden])");
      fold.open = active ? Boolean(left) : before[i];
      fold.hidden = active && !left;
    });
    for (const table of document.querySelectorAll("table")) table.hidden = active && !table.querySelector("tbody tr:not([hidden])");
    for (const section of document.querySelectorAll("section.part")) {
      section.hidden = active && !section.querySelector("tbody tr:not([hidden])");
    }
    document.body.classList.toggle("chosen", active);
    said.textContent = active ? `${shown} of ${rows.length} findings, of all policies` : "";
    for (const button of tools.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.standing === standing));
    }
  };

  for (const button of tools.querySelectorAll("button")) {
    button.addEventListener("click", () => { standing = button.dataset.standing; choose(); });
  }
  search.addEventListener("input", choose);
  tools.hidden = false;

  const valueOf = (row, column) => {
    const cell = row.children[column];
    const number = cell.dataset.value;
    return number === undefined ? cell.textContent.trim() : number === "" ? -Infinity : Number(number);
  };
  for (const head of document.querySelectorAll("thead th")) {
    const button = head.querySelector("button");
    button.disabled = false;
    button.addEventListener("click", () => {
      const rising = head.getAttribute("aria-sort") !== "ascending";
      for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const column = [...head.parentElement.children].indexOf(head);
      const body = head.closest("table").tBodies[0];
      const sorted = [...body.rows].sort((a, b) => {
        const [x, y] = [valueOf(a, column), valueOf(b, column)];
        return (x < y ? -1 : x > y ? 1 : 0) * (rising ? 1 : -1);
      });
      body.append(...sorted);
    });
  }
})();
