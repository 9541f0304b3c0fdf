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
  const nearest = (dataset) => {
    const all = times(dataset).map((label) => Date.parse(label));
    return all.reduce((best, one) => (Math.abs(one - time) < Math.abs(best - time) ? one : best), all[0] ?? time);
  };
  const viewOfPlain = (datasets) => {
    const dataset = datasets.find((one) => one.id === asked.get("dataset"));
    if (dataset === undefined) return { dataState: {}, controlState: {} };
    const names = dataset.variables.map((one) => one.name);
    const variable = names.includes(asked.get("variable")) ? asked.get("variable") : names[0];
    const control = { selectedDatasetId: dataset.id, selectedVariableName: variable };
    const all = times(dataset).map((label) => Date.parse(label));
    if (all.length) {
      control.selectedTimeRange = [all[0], all[all.length - 1]];
      control.selectedTime = Number.isNaN(time) ? all[all.length - 1] : nearest(dataset);
    }
    const state = { dataState: {}, controlState: control };
    if (hasPlace) {
      const x = (place.lon / 180) * Math.PI * 6378137;
      const y = Math.asinh(Math.tan((place.lat / 180) * Math.PI)) * 6378137;
      const zoom = number(asked.get("zoom"), 0, 20) ?? 9;
      state.mapState = { view: { projection: "EPSG:3857", center: [x, y], zoom, rotation: 0 } };
      const geometry = { type: "Point", coordinates: [place.lon, place.lat] };
      const properties = { label: `${place.lat}, ${place.lon}`, color: "red", source: "link" };
      const features = [{ type: "Feature", id: "cubehub-link", properties, geometry }];
      state.dataState.userPlaceGroups = [{ type: "FeatureCollection", id: "cubehub-link", title: "Link", features }];
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

  let heard;
  const listed = new Promise((resolve) => {
    heard = resolve;
  });
  const json = (content, status = 200) =>
    new Response(JSON.stringify(content), { status, headers: { "Content-Type": "application/json" } });

  window.fetch = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input, location.href);
    const method = (init?.method ?? (input instanceof Request ? input.method : "GET")).toUpperCase();
    const key = url.searchParams.get("key");
    if (method === "GET" && url.href.startsWith(`${own}viewer/state`) && key !== "sentinel") {
      let state;
      if (key === PLAIN) {
        state = viewOfPlain(await listed);
        settle(wanted);
      } else {
        const answer = await plain(input, init);
        if (!answer.ok) return answer;
        state = (await answer.json()).state;
        const datasets = await listed;
        if (Array.isArray(state.dataState.datasets)) state.dataState.datasets = today(datasets, state.dataState.datasets);
      }
      // the viewer takes in the list of cubes first, and then what a link says of them
      await new Promise((resolve) => setTimeout(resolve, 0));
      return json({ apiUrl: api, state });
    }
    const answer = await plain(input, init);
    if (method === "GET" && url.href.startsWith(`${own}datasets?`) && answer.ok) {
      answer.clone().json().then((found) => heard(found.datasets ?? []), () => heard([]));
    }
    return answer;
  };
})();
