/** What a document of YAML says, as JSON could. Throws an error of one line where it can't: an alias of nothing, of itself, or of too much. */
export function plainValue(document: { toJS(): unknown }): unknown {
  const value = document.toJS();
  try {
    JSON.stringify(value);
  } catch {
    throw new Error('an anchor contains itself');
  }
  return value;
}
