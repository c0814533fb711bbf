/** What keeps a command from its work and is for the operator to set right: one line. */
export class ClusterError extends Error {
  override readonly name = 'ClusterError';
}
