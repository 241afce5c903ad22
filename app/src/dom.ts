// Elements from names and parts. Whatever is text stays text: nothing is put in as markup but the server's own drawings.

export type Part = Node | string | null;
type Given = string | number | boolean | null | ((event: any) => void);

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K, given: Record<string, Given> = {}, ...parts: Part[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, String(value));
  }
  made.append(...parts.filter((part): part is Node | string => part !== null));
  return made;
}

export function svgEl(tag: string, given: Record<string, string | number> = {}): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(given)) made.setAttribute(name, String(value));
  return made;
}

/** A drawing of the server's as an element. It is parsed as XML: a script in it would be no script of this page. */
export function drawing(text: string): SVGElement {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  return document.importNode(parsed, true) as unknown as SVGElement;
}

/** A picture of a world's own, which stays a picture: it can run nothing. */
export function picture(text: string, words: string): HTMLImageElement {
  return el("img", { src: `data:image/svg+xml,${encodeURIComponent(text)}`, alt: words });
}

let count = 0;
/** A control with its label before it. */
export function labelled(words: string, control: HTMLElement): HTMLElement {
  control.id ||= `control-${++count}`;
  return el("div", { class: "field" }, el("label", { for: control.id }, words), control);
}

export function choice(options: [string, string][], chosen: string, changed: (value: string) => void): HTMLSelectElement {
  const made = el("select", { change: () => changed(made.value) });
  for (const [value, words] of options) made.append(el("option", { value, selected: value === chosen }, words));
  made.value = chosen;
  return made;
}

export function button(words: string, act: () => void, given: Record<string, Given> = {}): HTMLButtonElement {
  return el("button", { type: "button", click: act, ...given }, words);
}

export const percent = (share: number, digits = 1): string => `${(100 * share).toFixed(digits)}%`;
