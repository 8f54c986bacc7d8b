/**
 * The checksum of a document, by which a client and the gateway find out that their copies have parted (OT8): CRC-32 of
 * its canonical JSON (RFC 8785), in UTF-8. That form is made of JavaScript: of its numbers, its strings, and its order
 * of keys by UTF-16 units.
 */

const encoder = new TextEncoder();
let table: Uint32Array | undefined;

/** Eight lower-case hexadecimal digits; a document that does not exist is no bytes. */
export function checksum(content: unknown): string {
  const bytes = encoder.encode(content === undefined ? '' : canonicalJson(content));
  table ??= makeTable();
  let sum = 0xffffffff;
  for (const byte of bytes) sum = table[(sum ^ byte) & 0xff]! ^ (sum >>> 8);
  return (~sum >>> 0).toString(16).padStart(8, '0');
}

/** A JSON value in the one form that equal values have in common. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  // Members are written one by one: JavaScript puts keys that are integers first, whatever their order.
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
  return `{${members.join(',')}}`;
}

function makeTable(): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let sum = byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? 0xedb88320 ^ (sum >>> 1) : sum >>> 1;
    return sum;
  });
}
