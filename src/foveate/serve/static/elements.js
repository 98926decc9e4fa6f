// What the page is made of. Every text goes in as text, never as HTML.

export const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    else if (key === "vars") for (const [variable, of] of Object.entries(value)) made.style.setProperty(`--${variable}`, of);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
};

export const percent = (share) => {
  const shown = share * 100;
  return shown > 99.9 && shown < 100 ? "> 99.9%" : `${shown.toFixed(shown >= 10 || shown === 0 ? 0 : 1)}%`;
};

export const picture = (made, words, attributes = {}) =>
  element("img", { src: made.source, width: made.width, height: made.height, alt: words, ...attributes });

// A rectangle of shares as the lengths that the style sheet places it by.
export const placed = (box) => ({
  left: `${box.left * 100}%`,
  top: `${box.top * 100}%`,
  width: `${(box.right - box.left) * 100}%`,
  height: `${(box.bottom - box.top) * 100}%`,
});

export const within = (box, window) => ({
  left: window.left + box.left * (window.right - window.left),
  right: window.left + box.right * (window.right - window.left),
  top: window.top + box.top * (window.bottom - window.top),
  bottom: window.top + box.bottom * (window.bottom - window.top),
});

export const toggle = (words, on, changed) =>
  element(
    "label",
    { class: "switch" },
    element("input", { type: "checkbox", role: "switch", checked: on, on: { change: (event) => changed(event.target.checked) } }),
    element("span", { class: "knob", "aria-hidden": "true" }),
    words,
  );
