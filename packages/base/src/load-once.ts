/**
 * Something that is loaded when it is needed first, and kept. A failure is not kept: a descriptor that is missing, or a program whose files
 * are being replaced, is a matter of the moment.
 */
export function loadOnce<T>(load: () => Promise<T>): () => Promise<T> {
  let loading: Promise<T> | null = null;
  return () => {
    loading ??= load().catch((error: unknown) => {
      loading = null;
      throw error;
    });
    return loading;
  };
}
