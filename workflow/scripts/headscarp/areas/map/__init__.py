"""`headscarp map`: a trained network applied to a user's rasters, without a card."""
