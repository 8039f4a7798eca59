"""Published sets of image patches, one readable file a format; `registry` names them all."""
