/** Drawing on the map, with a mouse, a pen or a finger. */
import type { Polygon, Position } from 'geojson';
import { boundingExtent } from 'ol/extent';
import type { Polygon as OlPolygon } from 'ol/geom';
import DragBox from 'ol/interaction/DragBox';
import Draw, { createBox } from 'ol/interaction/Draw';
import type Interaction from 'ol/interaction/Interaction';
import { never } from 'ol/events/condition';
import type Style from 'ol/style/Style';
import VectorSource from 'ol/source/Vector';

/** However long one holds still before one drags, it is still dragging; in milliseconds. */
const PATIENCE = 3_600_000;

/**
 * What lets one draw an outline, to be added to the map in this order. A box is drawn as people know it from
 * elsewhere, by dragging, or by two clicks; meanwhile dragging does not move the map.
 */
export function drawing(kind: 'box' | 'polygon', style: Style, done: (drawn: Polygon) => void): Interaction[] {
  const source = new VectorSource();
  if (kind === 'polygon') {
    const draw = new Draw({ source, type: 'Polygon', style });
    draw.on('drawend', event => done(onGlobe((event.feature.getGeometry() as OlPolygon).getCoordinates())));
    return [draw];
  }
  const drag = new DragBox({ className: 'cubehub-cat-drag' });
  drag.on('boxend', () => done(boxOf(drag.getGeometry())));
  const click = new Draw({
    source, type: 'Circle', style, geometryFunction: createBox(), freehandCondition: never, dragVertexDelay: PATIENCE
  });
  click.on('drawend', event => done(boxOf(event.feature.getGeometry() as OlPolygon)));
  return [drag, click];
}

/** Counter-clockwise in whatever direction it was drawn: the other way round would be what lies around it. */
function boxOf(drawn: OlPolygon): Polygon {
  const [w, s, e, n] = boundingExtent(drawn.getCoordinates()[0]);
  return onGlobe([[[w, s], [e, s], [e, n], [w, n], [w, s]]]);
}

/** The map goes on beyond the poles. */
function onGlobe(rings: Position[][]): Polygon {
  return { type: 'Polygon', coordinates: rings.map(ring => ring.map(([lon, lat]) => [lon, Math.max(-90, Math.min(90, lat))])) };
}
