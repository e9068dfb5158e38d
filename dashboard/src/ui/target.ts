// What an address asks to see, such as the quota that an alert is about: it has a ring, and is brought into view once.
import { cx } from "./parts.tsx";

/** Always the same function, so that it is called when the element appears, and not at each render. */
function show(element: HTMLElement | null): void {
  element?.scrollIntoView({ block: "center" });
}

const RING = "rounded-md outline-2 -outline-offset-2 outline-accent";

/** Of an element that may be what the address asks for; `className` is what it has anyway. */
export function targetProps(isTarget: boolean, className: string) {
  return isTarget
    ? { ref: show, "aria-current": true, className: cx(className, RING) }
    : { className };
}
