/** Large lakes and seas by their names: where the map can be moved to without asking any other host. */

export interface IPlace {
  /** In English first, then as people there call it. */
  names: string[];
  lon: number;
  lat: number;
  /** Of a map of 380 by 220 pixels, so that all of it is seen. */
  zoom: number;
}

type Line = [name: string, also: string, lon: number, lat: number, zoom: number];

/** Each lies in a lake of the map. */
export const LAKES: readonly IPlace[] = [
  ['Lake Peipus', 'Peipsi, Chudskoye ozero', 27.38, 58.6, 8],
  ['Lake Pskov', 'Pihkva järv, Pskovskoye ozero', 27.83, 58.04, 9],
  ['Lake Võrtsjärv', 'Võrtsjärv', 26.05, 58.26, 10],
  ['Lake Ladoga', 'Ladozhskoye ozero, Laatokka', 31.4, 60.84, 7],
  ['Lake Onega', 'Onezhskoye ozero, Ääninen', 35.14, 61.84, 7],
  ['Lake Vänern', 'Vänern', 13.21, 58.87, 8],
  ['Lake Vättern', 'Vättern', 14.55, 58.33, 8],
  ['Lake Mälaren', 'Mälaren', 17.01, 59.44, 8],
  ['Lake Inari', 'Inarijärvi', 27.96, 69.07, 8],
  ['Lake Balaton', 'Balaton', 17.73, 46.85, 9],
  ['Lake Geneva', 'Lac Léman, Genfersee', 6.49, 46.4, 9],
  ['Lake Constance', 'Bodensee', 9.43, 47.64, 9],
  ['Lake Van', 'Van Gölü', 42.99, 38.65, 8],
  ['Lake Sevan', '', 45.33, 40.39, 9],
  ['Lake Urmia', 'Orumiyeh', 45.44, 37.7, 7],
  ['Aral Sea', 'Aral teńizi, Orol dengizi', 59.77, 45.46, 6],
  ['Lake Balkhash', 'Balqash', 76.35, 46.56, 6],
  ['Issyk-Kul', 'Ysyk-Köl', 77.25, 42.45, 7],
  ['Lake Baikal', 'Ozero Baykal', 106.92, 52.93, 5],
  ['Lake Khövsgöl', 'Hovsgol', 100.49, 51.04, 7],
  ['Lake Qinghai', 'Qinghai Hu, Kokonor', 100.2, 36.89, 8],
  ['Lake Taihu', 'Tai Hu', 120.27, 31.23, 8],
  ['Poyang Lake', '', 116.33, 29.21, 8],
  ['Tonlé Sap', '', 104.16, 12.84, 8],
  ['Dead Sea', '', 35.5, 31.55, 9],
  ['Lake Victoria', 'Nyanza', 33.23, -1.25, 6],
  ['Lake Tanganyika', '', 29.87, -5.92, 5],
  ['Lake Malawi', 'Nyasa, Niassa', 34.6, -11.95, 5],
  ['Lake Turkana', 'Rudolf', 36.22, 3.53, 6],
  ['Lake Albert', '', 30.95, 1.71, 7],
  ['Lake Chad', 'Lac Tchad', 14.51, 13.06, 9],
  ['Lake Tana', '', 37.3, 11.97, 8],
  ['Lake Kariba', '', 27.86, -17.1, 7],
  ['Lake Volta', '', -0.6, 8.15, 6],
  ['Lake Kyoga', '', 33.02, 1.48, 9],
  ['Lake Superior', '', -88.23, 47.72, 6],
  ['Lake Michigan', '', -86.51, 43.87, 5],
  ['Lake Huron', '', -82.23, 44.79, 6],
  ['Lake Erie', '', -81.15, 42.25, 6],
  ['Lake Ontario', '', -77.77, 43.84, 6],
  ['Great Bear Lake', '', -121.3, 65.85, 6],
  ['Great Slave Lake', '', -113.3, 61.84, 5],
  ['Lake Winnipeg', '', -97.77, 52.4, 6],
  ['Lake Athabasca', '', -108.66, 59.22, 6],
  ['Great Salt Lake', '', -112.48, 41.18, 8],
  ['Lake Okeechobee', '', -80.86, 26.93, 9],
  ['Lake Nicaragua', 'Cocibolca', -85.35, 11.57, 8],
  ['Lake Titicaca', 'Titiqaqa', -69.29, -15.92, 7],
  ['Mar Chiquita', '', -62.61, -30.72, 9],
  ['Lake Argyle', '', 128.77, -16.44, 8]
].map(placeOf);

/** Each lies in the map's sea. */
export const SEAS: readonly IPlace[] = [
  ['Lake Maracaibo', '', -71.5, 9.8, 7],
  ['Adriatic Sea', 'Mare Adriatico, Jadran', 15.5, 43, 5],
  ['Aegean Sea', 'Ege Denizi', 25, 38.8, 5],
  ['Baltic Sea', 'Läänemeri, Itämeri, Östersjön, Ostsee, Bałtyk', 19.5, 57.5, 4],
  ['Barents Sea', 'Barentshavet', 40, 73, 3],
  ['Bay of Bengal', '', 88, 15, 3],
  ['Bay of Biscay', 'Golfe de Gascogne, Golfo de Vizcaya', -4.5, 45.3, 5],
  ['Black Sea', 'Karadeniz, Marea Neagră', 34, 43.3, 5],
  ['Caribbean Sea', 'Mar Caribe', -74, 15, 3],
  ['Caspian Sea', 'Xəzər dənizi', 50.5, 41.5, 4],
  ['English Channel', 'La Manche', -1.5, 50.1, 6],
  ['Gulf of Bothnia', 'Pohjanlahti, Bottniska viken', 20, 62.5, 5],
  ['Gulf of Finland', 'Soome laht, Suomenlahti', 26.5, 59.85, 6],
  ['Gulf of Mexico', 'Golfo de México', -90, 25.5, 3],
  ['Gulf of Riga', 'Liivi laht, Rīgas līcis', 23.6, 57.7, 7],
  ['Irish Sea', 'Muir Éireann', -5, 53.8, 6],
  ['Kattegat', '', 11.4, 56.9, 7],
  ['Ligurian Sea', 'Mar Ligure, Mer ligurienne', 8.8, 43.6, 6],
  ['Mediterranean Sea', '', 18, 35, 3],
  ['North Sea', 'Nordsee, Noordzee, Nordsjøen, Mer du Nord', 3.5, 56, 4],
  ['Norwegian Sea', 'Norskehavet', 3, 68, 3],
  ['Persian Gulf', 'Arabian Gulf', 51.5, 27, 5],
  ['Red Sea', '', 38, 20, 4],
  ['Sea of Azov', 'Azovske more', 36.6, 46.1, 6],
  ['Sea of Marmara', 'Marmara Denizi', 28.2, 40.7, 7],
  ['Skagerrak', '', 9.3, 58, 6],
  ['Tyrrhenian Sea', 'Mar Tirreno', 12, 40, 5],
  ['Wadden Sea', 'Waddenzee, Wattenmeer, Vadehavet', 8.2, 54.2, 7],
  ['White Sea', 'Beloye more', 38, 65.5, 5],
  ['Yellow Sea', '', 123, 36, 4]
].map(placeOf);

/** The place of a name, or the first whose name begins with it, or has it inside; letters may lack their marks. */
export function placeNamed(text: string): IPlace | null {
  const wanted = plain(text);
  const all = [...LAKES, ...SEAS];
  const by = (fits: (name: string) => boolean): IPlace | undefined => all.find(one => one.names.some(name => fits(plain(name))));
  return (wanted && (by(name => name === wanted) ?? by(name => name.startsWith(wanted)) ?? by(name => name.includes(wanted)))) || null;
}

function placeOf(line: unknown[]): IPlace {
  const [name, also, lon, lat, zoom] = line as Line;
  return { names: [name, ...also.split(', ').filter(Boolean)], lon, lat, zoom };
}

function plain(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').trim().toLowerCase();
}
