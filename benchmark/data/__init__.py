"""Face images and their labels: readers of the official layouts, packed frames, sampling, augmentation."""
