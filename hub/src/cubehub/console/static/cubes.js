// The cards of the cubes, as the cube server lists them for this visitor: what is public, and while the viewer in this
// browser is signed in also what its account may read. Without script, or without the cube server, the list that the
// page came with stays.
(() => {
  const base = "/services/cubes/";
  const place = document.getElementById("cubes");
  const said = document.getElementById("cubes-said");
  const AGAIN_MS = 60_000;
  let shown = null;

  const make = (name, words, attributes = {}) => {
    const made = document.createElement(name);
    if (words) made.textContent = words;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  const span = (cube) => {
    if (!cube.first) return "no dates yet";
    const dates = cube.dates === 1 ? "1 date" : `${cube.dates} dates`;
    return cube.first === cube.last ? `${cube.first}, ${dates}` : `${cube.first} – ${cube.last}, ${dates}`;
  };

  // In every unit that the recipes have; the words "(synthetic …)" stand in the title already
  const quantity = (variable) => {
    const title = variable.title.replace(/ \(synthetic demonstration[^)]*\)$/, "");
    return variable.units && variable.units !== "1" ? `${title} [${variable.units}]` : title;
  };

  const embedding = (cube) => {
    const box = make("details");
    box.append(make("summary", "Embed", { "aria-label": `Embed ${cube.title}` }));
    const frame = make("iframe", "", {
      src: new URL(base + cube.embed, location.href).href,
      title: cube.title,
      width: "500",
      height: "560",
      loading: "lazy",
    });
    const text = make("textarea", "", { readonly: "", rows: "4", "aria-label": `HTML that embeds ${cube.title}` });
    text.value = frame.outerHTML;
    const copy = make("button", "Copy", { type: "button" });
    copy.addEventListener("click", async () => {
      text.select();
      try {
        await navigator.clipboard.writeText(text.value);
        said.textContent = "Copied";
      } catch {
        // without TLS there is no clipboard; the text is selected
        said.textContent = "Press Ctrl+C to copy";
      }
      copy.textContent = said.textContent;
    });
    box.append(text, copy);
    return box;
  };

  const card = (cube) => {
    const made = make("article", "", { class: "cube" });
    const link = make("a", "", { href: base + cube.viewer });
    if (cube.picture) {
      const picture = make("img", "", { src: base + cube.picture, alt: cube.alt, width: "480", height: "300", loading: "lazy" });
      picture.addEventListener("error", () => picture.remove());
      link.append(picture);
    }
    link.append(make("h3", cube.title));
    made.append(link, make("p", [cube.group, span(cube)].filter(Boolean).join(" · "), { class: "span" }));
    const list = make("ul", "", { "aria-label": "Variables" });
    for (const variable of cube.variables) list.append(make("li", quantity(variable)));
    made.append(list);
    const facts = make("p", "", { class: "who" });
    facts.append(make("span", cube.public ? "open to everyone" : "members", { class: "access" }), " ", make("code", cube.id));
    made.append(facts, make("p", cube.attribution, { class: "source" }));
    if (cube.embed) made.append(embedding(cube));
    return made;
  };

  const look = async () => {
    try {
      const answer = await fetch(`${base}cards`, { cache: "no-cache" });
      if (!answer.ok) return;
      const text = await answer.text();
      if (text === shown) return;
      const cubes = JSON.parse(text).cubes;
      // Somebody who copies, or walks through the cards by keyboard, is not thrown out of them
      if (shown !== null && place.contains(document.activeElement)) return;
      shown = text;
      place.replaceChildren(...cubes.map(card));
      if (!cubes.length) place.append(make("p", "No cube is open to everyone yet. Sign in to the viewer to see yours."));
    } catch {
      // The cube server is restarting; the next round tries again.
    }
  };
  look();
  setInterval(() => document.hidden || look(), AGAIN_MS);
  document.addEventListener("visibilitychange", () => document.hidden || look());
})();
