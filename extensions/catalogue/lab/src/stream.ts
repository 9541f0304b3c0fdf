/** Lines of JSON as they come: a line that is cut by the network waits for its rest. */
export async function* lines<Line>(body: ReadableStream<Uint8Array>): AsyncGenerator<Line> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      const parts = rest.split('\n');
      rest = done ? '' : (parts.pop() ?? '');
      for (const part of parts) {
        if (part.trim()) {
          yield JSON.parse(part) as Line;
        }
      }
      if (done) {
        return;
      }
    }
  } finally {
    // who stops reading also tells the server to stop asking
    await reader.cancel().catch(() => undefined);
  }
}
