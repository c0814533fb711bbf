/** A cluster that can't be found like this. The text is etcd's. */
export class DiscoveryError extends Error {
  override readonly name = 'DiscoveryError';
}
