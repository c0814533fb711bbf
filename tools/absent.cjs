// In place of packages that a bundle for others goes without: whoever comes to need one is told.
throw new Error('this package has no backups to S3; use a directory');
