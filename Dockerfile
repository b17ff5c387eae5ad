# The image for those who build with docker or podman; nothing is pulled for it:
#
#   make build && docker build -t larder .
#
# make image makes the same for several platforms, without a container engine.
FROM scratch
COPY bin/larder /larder
COPY --chown=65532:65532 deploy/image/data /var/lib/larder
ENV LARDER_DATA=/var/lib/larder HOME=/var/lib/larder TMPDIR=/var/lib/larder
USER 65532:65532
WORKDIR /var/lib/larder
VOLUME /var/lib/larder
EXPOSE 5000
ENTRYPOINT ["/larder"]
CMD ["serve"]
