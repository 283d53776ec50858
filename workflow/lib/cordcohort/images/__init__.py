"""Images made from images: mean b=0 and tensor maps of diffusion series."""
