// What the page carries: facts as JSON, columns as base64 of gzip of zig-zag varints.

/** Return the columns by name, as Float64Array. */
async function unpackColumns(columns, text) {
  const binary = atob(text);
  const packed = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) packed[i] = binary.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const found = {};
  let place = 0;
  for (const { name, count, decimals, running } of columns) {
    const values = new Float64Array(count);
    const unit = 10 ** decimals;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      let raw = 0;
      let weight = 1;
      let byte;
      do {
        byte = bytes[place++];
        raw += (byte & 127) * weight;
        weight *= 128;
      } while (byte & 128);
      const value = raw % 2 ? -(raw + 1) / 2 : raw / 2;
      sum = running ? sum + value : value;
      values[i] = sum / unit;
    }
    found[name] = values;
  }
  return found;
}

/** Return values with NaN where there are none: from every second edge to the next one. */
function unknown(values, edges) {
  const out = Float64Array.from(values);
  for (let i = 0; i < edges.length; i += 2) out.fill(NaN, edges[i], edges[i + 1] ?? out.length);
  return out;
}
