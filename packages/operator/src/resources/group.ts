/** The group of this operator's resources: that of the public ones. */
export const GROUP = 'operator.etcd.io';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;
