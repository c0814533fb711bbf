/** `target_union` is `targetUnion` in the class: it holds the number of the member that is set. */
export function unionProperty(oneof: string): string {
  return oneof.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}
