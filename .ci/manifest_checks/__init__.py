"""What must hold for the manifests as they are rendered. `world` renders them, the other modules hold the checks, `mutations` proves
that each of them can fail."""
