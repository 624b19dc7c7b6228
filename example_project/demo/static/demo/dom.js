// Create elements without parsing HTML, so that text from a server or a user stays text.

export const byId = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [property, value] of Object.entries(properties)) {
    if (property === "attributes") setAttributes(made, value);
    else made[property] = value;
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function setAttributes(target, attributes) {
  for (const [name, value] of Object.entries(attributes)) target.setAttribute(name, value);
}

// A live region is read out whenever its text is written, so don't write the same text again.
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
