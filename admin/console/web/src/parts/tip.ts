// What a mouse finds by hovering, a keyboard finds by the focus: the title of what has the focus, or of a row the texts
// that are cut. Escape takes it away.

const limit = 8;

let tip: HTMLElement | undefined;
let about: Element | undefined;

/** titlesOf lists what the titles within a row or of one thing say. */
function titlesOf(element: Element): string[] {
  if (!element.matches("tr[data-key]")) {
    const own = element.getAttribute("title");
    return own && own !== element.getAttribute("aria-label") ? [own] : [];
  }
  const titles: string[] = [];
  for (const cell of element.querySelectorAll<HTMLElement>("td")) {
    const titled = [...cell.querySelectorAll<HTMLElement>("[title]")].find((one) => one.matches("time") || one.scrollWidth > one.clientWidth || (one.parentElement?.scrollWidth ?? 0) > (one.parentElement?.clientWidth ?? 0));
    if (titled?.title && cell.checkVisibility()) titles.push(cell.dataset["head"] ? `${cell.dataset["head"]}: ${titled.title}` : titled.title);
  }
  return titles.slice(0, limit);
}

function hide(): void {
  tip?.remove();
  about?.removeAttribute("aria-describedby");
  tip = about = undefined;
}

function show(element: Element, lines: string[]): void {
  tip = document.createElement("div");
  tip.className = "tip";
  tip.id = "tip";
  tip.setAttribute("role", "tooltip");
  tip.textContent = lines.join("\n");
  document.body.append(tip);
  about = element;
  element.setAttribute("aria-describedby", "tip");
  const box = element.getBoundingClientRect();
  const below = box.bottom + tip.offsetHeight + 8 < innerHeight;
  tip.style.top = `${below ? box.bottom + 4 : Math.max(4, box.top - tip.offsetHeight - 4)}px`;
  tip.style.left = `${Math.max(8, Math.min(box.left + 16, innerWidth - tip.offsetWidth - 8))}px`;
}

/** startTips shows tips for as long as the page is open. */
export function startTips(): void {
  document.addEventListener("focusin", (event) => {
    hide();
    const element = event.target as Element;
    if (element.closest("dialog") || !element.matches(":focus-visible") || element.hasAttribute("aria-describedby")) return;
    const lines = titlesOf(element);
    if (lines.length > 0) show(element, lines);
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); }, true);
  addEventListener("scroll", hide, true);
}
