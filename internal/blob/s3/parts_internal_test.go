package s3

import "testing"

func TestTheLargestBlobOfS3FitsIntoItsParts(t *testing.T) {
	const largest = 5 << 40
	tests := []struct {
		name string
		size func(parts int) int64
		want int64 // bytes in all parts
	}{
		{"with the parts that are the default", func(parts int) int64 { return partSize(defaultPartSize, parts) }, largest},
		{"with the largest parts", func(parts int) int64 { return partSize(maxPartSize, parts) }, largest},
		// 1023 times a thousand parts of 5 MiB, a little less than 5 TiB.
		{"with the smallest parts", func(parts int) int64 { return partSize(minPartSize, parts) }, 1023 * 1000 * minPartSize},
		{"with the smallest rests that are saved as parts", leastSize, 1023 * 1000 * minPartSize},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var whole int64
			for parts := range maxParts {
				size := tt.size(parts)
				if size < minPartSize || size > maxPartSize {
					t.Fatalf("part %d has %d bytes", parts+1, size)
				}
				whole += size
			}
			if whole < tt.want {
				t.Errorf("%d parts hold %d bytes, want %d", maxParts, whole, tt.want)
			}
		})
	}
}

func TestABlobOfAnOrdinarySizeHasPartsOf16MiB(t *testing.T) {
	for parts := range partsOfOneSize {
		if size := partSize(defaultPartSize, parts); size != 16<<20 {
			t.Fatalf("part %d has %d bytes", parts+1, size)
		}
	}
}
