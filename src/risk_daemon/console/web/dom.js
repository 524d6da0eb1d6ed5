// Making and filling elements. Text is only ever set as text: nothing a name holds can become markup.

const SVG = "http://www.w3.org/2000/svg";

function put(node, props, kids) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "width%")
      node.style.width = `${value}%`; // an attribute would be refused by our policy
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(
    ...kids.flat(3).filter((kid) => kid !== null && kid !== undefined && kid !== false && kid !== ""),
  );
  return node;
}

export const el = (tag, props, ...kids) => put(document.createElement(tag), props, kids);
export const svg = (tag, props, ...kids) => put(document.createElementNS(SVG, tag), props, kids);

// Fill a node anew if what it shows has changed; who had the focus keeps it, if it is there again.
export function fill(node, shown, make) {
  const key = JSON.stringify(shown);
  if (node.shownKey === key) return;
  node.shownKey = key;
  const focused = node.contains(document.activeElement) ? document.activeElement.id : "";
  node.replaceChildren(
    ...[make()].flat(3).filter((kid) => kid !== null && kid !== undefined && kid !== false && kid !== ""),
  );
  if (focused) document.getElementById(focused)?.focus();
}

// Keep one child of `parent` for each name, in this order; `make` makes one, `update` shows it.
export function keyed(parent, names, make, update) {
  const known = (parent.known ||= new Map());
  let next = parent.firstElementChild;
  for (const name of names) {
    let node = known.get(name);
    if (!node) known.set(name, (node = make(name)));
    if (node === next) next = next.nextElementSibling;
    else parent.insertBefore(node, next);
    update(node, name);
  }
  const wanted = new Set(names);
  for (const [name, node] of known) {
    if (!wanted.has(name)) {
      node.remove();
      known.delete(name);
    }
  }
}
