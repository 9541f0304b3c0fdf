// Links into the viewer. It knows two kinds by itself: `?dataset=…&variable=…`, and `?stateKey=…` of a view that somebody
// shared. Here the plain kind learns time and place: `&time=2024-07-02&place=27.4,58.8&zoom=9`. It is told to the viewer
// as if it were a shared view. Loaded before the viewer, which reads its address once.
(() => {
  const PLAIN = "plain";
  const plain = window.fetch;
  const own = new URL("../", location.href).href;
  const api = own.replace(/\/$/, "");
  const asked = new URLSearchParams(location.search);
  // A link must not lead the viewer, and the sign-in that it sends along, to another server
  for (const name of ["serverUrl", "serverId", "serverName", "configPath"]) asked.delete(name);

  // what a sign-in came back to
  if (asked.get("stateKey") === PLAIN) asked.delete("stateKey");

  const number = (text, low, high) => {
    const value = text === null || text.trim() === "" ? NaN : Number(text);
    return value >= low && value <= high ? value : null;
  };
  const [lon, lat] = (asked.get("place") ?? "").split(",");
  const place = { lon: number(lon ?? null, -180, 180), lat: number(lat ?? null, -85, 85) };
  const time = Date.parse(asked.get("time") ?? "");
  const hasPlace = place.lon !== null && place.lat !== null;
  const isPlain = asked.has("dataset") && !asked.has("stateKey") && (hasPlace || !Number.isNaN(time));

  const address = () => {
    const rest = asked.toString();
    return location.pathname + (rest ? `?${rest}` : "") + location.hash;
  };
  const wanted = address();
  const settle = (to) => history.replaceState(history.state, "", to);
  if (isPlain) {
    asked.set("stateKey", PLAIN);
    settle(address());
  } else if (new URLSearchParams(location.search).toString() !== asked.toString()) {
    settle(wanted);
  }

  const times = (dataset) => dataset?.dimensions?.find((one) => one.name === "time")?.coordinates ?? [];
  // as the viewer keeps a list of cubes: times as numbers, and as the server writes them
  const taken = (dataset) => ({
    ...dataset,
    dimensions: dataset.dimensions?.map((one) =>
      one.name === "time" ? { ...one, coordinates: one.coordinates.map(Date.parse), labels: one.coordinates } : one,
    ),
  });
  const viewOfPlain = (datasets, first) => {
    const named = datasets.find((one) => one.id === asked.get("dataset"));
    const dataset = named ?? datasets.find((one) => one.id === first) ?? datasets[0];
    const state = { dataState: {}, controlState: {} };
    if (dataset === undefined) return state;
    const names = dataset.variables.map((one) => one.name);
    const variable = names.includes(asked.get("variable")) ? asked.get("variable") : names[0];
    state.controlState = { selectedDatasetId: dataset.id, selectedVariableName: variable };
    const all = times(dataset);
    if (all.length) {
      const near = (best, one) => (Math.abs(one - time) < Math.abs(best - time) ? one : best);
      state.controlState.selectedTimeRange = [all[0], all[all.length - 1]];
      state.controlState.selectedTime = Number.isNaN(time) ? all[all.length - 1] : all.reduce(near);
    }
    const metres = ([x, y]) => [
      (x / 180) * Math.PI * 6378137,
      Math.asinh(Math.tan((Math.max(-85, Math.min(85, y)) / 180) * Math.PI)) * 6378137,
    ];
    const view = { projection: "EPSG:3857", rotation: 0 };
    if (hasPlace) {
      const zoom = number(asked.get("zoom"), 0, 20) ?? 9;
      state.mapState = { view: { ...view, center: metres([place.lon, place.lat]), zoom } };
      const geometry = { type: "Point", coordinates: [place.lon, place.lat] };
      const properties = { label: `${place.lat}, ${place.lon}`, color: "red", source: "link" };
      const features = [{ type: "Feature", id: "cubehub-link", properties, geometry }];
      state.dataState.userPlaceGroups = [{ type: "FeatureCollection", id: "cubehub-link", title: "Link", features }];
      state.controlState.selectedPlaceGroupIds = ["cubehub-link"];
    } else if (dataset.bbox) {
      const [west, south, east, north] = dataset.bbox;
      const [low, high] = [metres([west, south]), metres([east, north])];
      const size = Math.max(high[0] - low[0], ((high[1] - low[1]) * innerWidth) / innerHeight, 100);
      const zoom = Math.min(Math.log2((innerWidth * 2 * Math.PI * 6378137) / 256 / size) - 0.2, 18);
      state.mapState = { view: { ...view, center: [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2], zoom } };
    }
    return state;
  };

  // What a shared view says of cubes is as old as the link. The list of today counts, with the colours, the ranges and
  // the variables of their own that people shared.
  const STYLE = ["colorBarName", "colorBarMin", "colorBarMax", "colorBarNorm", "opacity"];
  const today = (datasets, shared) =>
    datasets.map((dataset) => {
      const old = shared.find((one) => one?.id === dataset.id);
      if (!Array.isArray(old?.variables)) return dataset;
      const variables = dataset.variables.map((variable) => {
        const then = old.variables.find((one) => one?.name === variable.name) ?? {};
        return { ...variable, ...Object.fromEntries(STYLE.filter((k) => k in then).map((k) => [k, then[k]])) };
      });
      const made = old.variables.filter((one) => typeof one?.expression === "string");
      return { ...dataset, variables: [...variables, ...made] };
    });

  const MISSING = "The cube of this link is not there, or not for you: sign in if it is yours. You may see another one now.";
  const say = (words) => {
    const box = document.createElement("div");
    box.setAttribute("role", "alert");
    box.className = "cubehub-said";
    box.textContent = words;
    document.body.append(box);
    setTimeout(() => box.remove(), 15_000);
  };

  // With a shared view the viewer does not ask for the list of cubes
  const list = async (headers) => {
    const answer = await window.fetch(`${own}datasets?details=1`, { headers });
    const found = await answer.json();
    return { datasets: (found.datasets ?? []).map(taken), first: found.entrypointDatasetId };
  };
  const open = async (input, init, key) => {
    const headers = input instanceof Request ? input.headers : init?.headers;
    let shared = null;
    if (key !== PLAIN) {
      const answer = await plain(input, init);
      if (answer.status === 404) say("This link is not kept here any more. You see the platform's first cube instead.");
      else if (answer.ok) shared = (await answer.json()).state;
      else return answer;
    }
    const { datasets, first } = await list(headers);
    settle(wanted);
    const state = shared ?? viewOfPlain(datasets, first);
    const old = state.dataState.datasets;
    state.dataState.datasets = Array.isArray(old) ? today(datasets, old) : datasets;
    const there = datasets.some((one) => one.id === state.controlState.selectedDatasetId);
    const named = shared !== null || datasets.some((one) => one.id === asked.get("dataset"));
    if (!there || !named) say(MISSING);
    return new Response(JSON.stringify({ apiUrl: api, state }), { headers: { "Content-Type": "application/json" } });
  };

  // A link to a cube alone is the viewer's own kind, which shows another cube without a word
  if (asked.has("dataset") && !isPlain && !asked.has("stateKey")) {
    window.addEventListener("load", async () => {
      try {
        const { datasets } = await list({});
        if (!datasets.some((one) => one.id === asked.get("dataset"))) say(MISSING);
      } catch {
        // The server is restarting, and the viewer says so
      }
    });
  }

  window.fetch = (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input, location.href);
    const method = (init?.method ?? (input instanceof Request ? input.method : "GET")).toUpperCase();
    const key = url.searchParams.get("key");
    const opens = method === "GET" && url.href.startsWith(`${own}viewer/state?`) && key !== "sentinel";
    return opens ? open(input, init, key) : plain(input, init);
  };
})();
