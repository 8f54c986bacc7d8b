/**
 * Binary frames: one cursor in 18 or 26 bytes, and the batches of a room (docs/protocol.md, B1 to B9). All numbers are
 * big endian.
 */

export const CURSOR = 1;
export const SELECTION = 2;

const BATCH = 0x0100; // beside the kind, in the type of a batched frame
const FRAME = 18;
const FRAME_WITH_VIEWPORT = 26;
const BATCH_HEADER = 8;
const RECORD = 24;

/** The largest magnitude of a coordinate: beyond it neighbouring whole numbers are one and the same float32. */
export const MAX_COORDINATE: number = 2 ** 24;

export interface FrameRecord {
  user: number;
  x: number;
  y: number;
  /** The sender's own, in milliseconds modulo 2³²; nothing is ordered by it. */
  timestamp: number;
  viewportX?: number;
  viewportY?: number;
}

/** A frame as it is sent; raises RangeError for coordinates that are not finite, or too large. */
export function encodeFrame(kind: typeof CURSOR | typeof SELECTION, record: FrameRecord): ArrayBuffer {
  const { x, y, viewportX, viewportY } = record;
  const hasViewport = viewportX !== undefined && viewportY !== undefined;
  for (const coordinate of hasViewport ? [x, y, viewportX, viewportY] : [x, y]) checkCoordinate(coordinate);
  const view = new DataView(new ArrayBuffer(hasViewport ? FRAME_WITH_VIEWPORT : FRAME));
  view.setUint16(0, kind);
  view.setUint32(2, record.user);
  view.setFloat32(6, x);
  view.setFloat32(10, y);
  view.setUint32(14, record.timestamp);
  if (hasViewport) {
    view.setFloat32(18, viewportX);
    view.setFloat32(22, viewportY);
  }
  return view.buffer;
}

/** Raises RangeError unless the coordinate lies between -2²⁴ and 2²⁴. */
export function checkCoordinate(coordinate: number): void {
  if (!(Math.abs(coordinate) <= MAX_COORDINATE)) {
    throw new RangeError(`${coordinate} does not lie between -2**24 and 2**24`);
  }
}

/**
 * Takes a frame or a batch apart, and hands each record to `receive`: with the kind, and with the handle of its room if
 * the frame names one. Raises RangeError for what is no frame.
 */
export function decodeFrames(
  data: ArrayBuffer,
  receive: (kind: number, handle: number | undefined, record: FrameRecord) => void,
): void {
  const view = new DataView(data);
  const size = data.byteLength;
  const type = size < FRAME && size < BATCH_HEADER ? 0 : view.getUint16(0);
  const kind = type & ~BATCH;
  if (kind !== CURSOR && kind !== SELECTION) throw new RangeError(`a binary frame of unknown type ${type}`);
  if (type & BATCH) {
    const count = view.getUint16(2);
    if (size !== BATCH_HEADER + count * RECORD) throw new RangeError(`a batch of ${count} records in ${size} bytes`);
    const handle = view.getUint32(4);
    for (let at = BATCH_HEADER; at < size; at += RECORD) {
      const record = decodeRecord(view, at);
      const viewportX = view.getFloat32(at + 16);
      if (!Number.isNaN(viewportX)) addViewport(record, viewportX, view.getFloat32(at + 20));
      receive(kind, handle, record);
    }
  } else {
    if (size !== FRAME && size !== FRAME_WITH_VIEWPORT) throw new RangeError(`a frame of ${size} bytes`);
    const record = decodeRecord(view, 2);
    if (size === FRAME_WITH_VIEWPORT) addViewport(record, view.getFloat32(18), view.getFloat32(22));
    receive(kind, undefined, record);
  }
}

function decodeRecord(view: DataView, at: number): FrameRecord {
  return {
    user: view.getUint32(at),
    x: view.getFloat32(at + 4),
    y: view.getFloat32(at + 8),
    timestamp: view.getUint32(at + 12),
  };
}

function addViewport(record: FrameRecord, x: number, y: number): void {
  record.viewportX = x;
  record.viewportY = y;
}
